package codecommit_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/codecommit"
)

var update = flag.Bool("update", false, "write the golden files anew")

const account = "123456789012"

func decoder(t testing.TB, repositories ...string) *codecommit.Decoder {
	t.Helper()
	d, err := codecommit.New(codecommit.Config{Region: "us-east-2", Account: account, Repositories: repositories})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// decoded is a golden file.
type decoded struct {
	Events  []event.Event `json:"events"`
	Ignored string        `json:"ignored,omitempty"`
}

func TestDecodeGolden(t *testing.T) {
	names, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, path := range names {
		name := filepath.Base(path)
		if strings.HasSuffix(name, ".want.json") {
			continue
		}
		tried++
		t.Run(name, func(t *testing.T) {
			evs, err := decoder(t).DecodeMessage(read(t, name))
			got := decoded{Events: evs}
			var ignored *webhook.Ignored
			if errors.As(err, &ignored) {
				got.Ignored = ignored.Reason
			} else if err != nil {
				t.Fatal(err)
			}
			text, err := json.MarshalIndent(got, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(path, ".json") + ".want.json"
			if *update {
				if err := os.WriteFile(golden, append(text, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimSpace(string(want)), string(text)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if tried < 23 {
		t.Errorf("only %d deliveries", tried)
	}
}

// A reference update names its tip and nothing else.
func TestPushIsToBeCompletedByTheHost(t *testing.T) {
	for name, unknown := range map[string]bool{
		"reference-updated.json": false, "reference-created.json": false, "reference-updated-forced.json": false,
		"trigger-push.json": true, "trigger-branch-created.json": false, "trigger-custom-data.json": true,
	} {
		evs, err := decoder(t).DecodeMessage(read(t, name))
		if err != nil || len(evs) != 1 {
			t.Fatalf("%s: %v, %v", name, evs, err)
		}
		ev := evs[0]
		if !ev.Truncated || len(ev.Commits) != 1 || ev.Commits[0].SHA != ev.After || ev.Commits[0].MessageKnown || ev.Commits[0].PathsKnown || ev.Total != 0 {
			t.Errorf("%s: %+v", name, ev)
		}
		if ev.BeforeUnknown != unknown || unknown && ev.Before != "" {
			t.Errorf("%s: before %q, unknown %v", name, ev.Before, ev.BeforeUnknown)
		}
	}
}

func TestEveryRefOfARecordIsAnEvent(t *testing.T) {
	evs, err := decoder(t).DecodeMessage(read(t, "trigger-several-refs.json"))
	if err != nil {
		t.Fatal(err)
	}
	var refs []string
	ids, again := map[string]bool{}, map[string]bool{}
	for _, ev := range evs {
		refs = append(refs, ev.Ref)
		ids[ev.DeliveryID] = true
	}
	if want := []string{"refs/heads/multi-a", "refs/heads/multi-b", "refs/tags/multi-tag"}; !cmp.Equal(refs, want) || len(ids) != 3 {
		t.Errorf("%v, %v", refs, ids)
	}
	evs, err = decoder(t).DecodeMessage(read(t, "trigger-several-refs.json"))
	for _, ev := range evs {
		again[ev.DeliveryID] = true
	}
	if err != nil || !cmp.Equal(ids, again) {
		t.Errorf("a retry has the IDs %v, and had %v", again, ids)
	}
}

// A notification rule's messages have no ID, and are told apart by what they say.
func TestNotificationsAreRecognised(t *testing.T) {
	text := string(read(t, "notification-rule.json"))
	id := func(text string) string {
		t.Helper()
		evs, err := decoder(t).DecodeMessage([]byte(text))
		if err != nil || len(evs) != 1 || evs[0].Ref != "refs/heads/main" {
			t.Fatalf("%+v, %v", evs, err)
		}
		return evs[0].DeliveryID
	}
	first := id(text)
	if again := id(text); again != first {
		t.Errorf("sent again, %s is %s", first, again)
	}
	if later := id(strings.Replace(text, "09:00:00Z", "09:00:01Z", 1)); later == first {
		t.Errorf("a later one is %s too", later)
	}
}

// One ref of a record that starts nothing must not cost the others.
func TestIgnoredRefsCostNoOther(t *testing.T) {
	text := func(refs string) string {
		return `{"Records":[{"eventSource":"aws:codecommit","eventName":"ReferenceChanges","eventId":"e","eventSourceARN":"arn:aws:codecommit:us-east-2:` + account + `:app","codecommit":{"references":[` + refs + `]}},` +
			`{"eventSource":"aws:codecommit","eventName":"TriggerEventTest","eventId":"t","eventSourceARN":"arn:aws:codecommit:us-east-2:` + account + `:app"}]}`
	}
	sha := strings.Repeat("ab", 20)
	note, branch := `{"ref":"refs/notes/commits","commit":"`+sha+`"}`, `{"ref":"refs/heads/a","commit":"`+sha+`"}`
	evs, err := decoder(t).DecodeMessage([]byte(text(note + "," + branch)))
	if err != nil || len(evs) != 1 || evs[0].Ref != "refs/heads/a" || evs[0].DeliveryID != "e.2" {
		t.Errorf("%+v, %v", evs, err)
	}
	evs, err = decoder(t).DecodeMessage([]byte(text(note)))
	if !errors.As(err, new(*webhook.Ignored)) || len(evs) == 0 || evs[0].DeliveryID != "e" {
		t.Errorf("%+v, %v", evs, err)
	}
	if evs, err = decoder(t).DecodeMessage([]byte(text(branch + `,{"ref":"main","commit":"` + sha + `"}`))); err == nil {
		t.Errorf("a ref that is none costs the delivery, which is to be looked at: %+v", evs)
	}
}

func TestEventsOfOthersAreIgnored(t *testing.T) {
	for name, row := range map[string]struct {
		text  string
		names []string
	}{
		"region":           {text: strings.ReplaceAll(string(read(t, "reference-updated.json")), "us-east-2", "eu-west-1")},
		"account":          {text: strings.ReplaceAll(string(read(t, "pr-created.json")), account, "210987654321")},
		"repository":       {text: string(read(t, "trigger-push.json")), names: []string{"api", "web"}},
		"trigger's region": {text: strings.ReplaceAll(string(read(t, "trigger-push.json")), "codecommit:us-east-2", "codecommit:us-east-1")},
		"another service":  {text: strings.ReplaceAll(string(read(t, "reference-updated.json")), "aws.codecommit", "aws.ec2")},
		"another type":     {text: strings.ReplaceAll(string(read(t, "reference-updated.json")), "Repository State Change", "Approval Rule Template Change")},
	} {
		t.Run(name, func(t *testing.T) {
			evs, err := decoder(t, row.names...).DecodeMessage([]byte(row.text))
			if !errors.As(err, new(*webhook.Ignored)) {
				t.Errorf("%+v, %v", evs, err)
			}
		})
	}
	if _, err := decoder(t, "app").DecodeMessage(read(t, "trigger-push.json")); err != nil {
		t.Error(err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := string(read(t, "reference-updated.json"))
	change := func(old, new string) string {
		changed := strings.Replace(good, old, new, 1)
		if changed == good {
			t.Fatalf("%q is not in the text", old)
		}
		return changed
	}
	for name, row := range map[string]struct{ text, want string }{
		"not JSON":          {`hello`, ""},
		"nothing known":     {`{"a":1}`, "neither"},
		"no ID":             {change(`"id"`, `"ID"`), "id"},
		"a type":            {change(`"3379d18ab67e9fbadfebe96832178648ba0efcd1"`, `7`), "commitId"},
		"no commit":         {change(`"commitId"`, `"commit"`), "commitId"},
		"twice":             {change(`"repositoryName"`, `"repositoryName":"other","repositoryName"`), "repositoryName"},
		"hostile name":      {change(`"app",`, `"../app",`), "repository"},
		"a ref that is not": {change(`refs/heads/main`, `main`), "ref"},
		"control character": {change(`refs/heads/main`, `refs/heads/\u001b[2J`), "control"},
	} {
		t.Run(name, func(t *testing.T) {
			evs, err := decoder(t).DecodeMessage([]byte(row.text))
			if err == nil || errors.As(err, new(*webhook.Ignored)) || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("%+v, %v", evs, err)
			}
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, cfg := range map[string]codecommit.Config{
		"no region":         {Account: account},
		"a URL for region":  {Region: "eu-west-1.evil.example/", Account: account},
		"no account":        {Region: "eu-west-1"},
		"a short account":   {Region: "eu-west-1", Account: "1234"},
		"a repository path": {Region: "eu-west-1", Account: account, Repositories: []string{"acme/api"}},
		"a .git":            {Region: "eu-west-1", Account: account, Repositories: []string{"api.git"}},
	} {
		if _, err := codecommit.New(cfg); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	for region, want := range map[string]string{
		"eu-west-1":     "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos",
		"us-gov-west-1": "https://git-codecommit.us-gov-west-1.amazonaws.com/v1/repos",
		"cn-north-1":    "https://git-codecommit.cn-north-1.amazonaws.com.cn/v1/repos",
		"evil/x":        "",
	} {
		if got := codecommit.CloneBase(region); got != want {
			t.Errorf("%s: %s", region, got)
		}
	}
}

func FuzzDecodeMessage(f *testing.F) {
	names, _ := filepath.Glob("testdata/*.json")
	for _, path := range names {
		if !strings.HasSuffix(path, ".want.json") {
			f.Add(read(f, filepath.Base(path)))
		}
	}
	d := decoder(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		evs, err := d.DecodeMessage(text)
		if err != nil {
			return
		}
		ids := map[string]bool{}
		for _, ev := range evs {
			if ids[ev.DeliveryID] = true; ev.DeliveryID == "" || ev.Digest == "" || ev.Branch() == "" && ev.Tag() == "" || ev.Repository.FullName == "" {
				t.Errorf("incomplete: %+v", ev)
			}
			for _, c := range ev.Commits {
				if len(c.SHA) != 40 && len(c.SHA) != 64 {
					t.Errorf("commit %q", c.SHA)
				}
			}
			if ev.Kind == event.Push && (ev.After == "" || len(ev.Commits) != 1) {
				t.Errorf("a push that does not name its tip alone: %+v", ev)
			}
		}
		if len(evs) == 0 {
			t.Error("neither an event nor an error")
		}
	})
}
