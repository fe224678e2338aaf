package githubtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// ask calls the stand-in, and returns the answer with its body.
func ask(t *testing.T, s *Server, token, method, path, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, BaseURL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := s.Transport().RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(said)
}

// get decodes what AnyToken is told.
func get[T any](t *testing.T, s *Server, path string) (out T) {
	t.Helper()
	response, said := ask(t, s, AnyToken, "GET", path, "")
	if response.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, response.StatusCode, said)
	}
	if err := json.Unmarshal([]byte(said), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

type sha struct{ SHA string }

func shas(list []sha) (all []string) {
	for _, c := range list {
		all = append(all, c.SHA)
	}
	return all
}

// Each call is made once with success: what it answers is held against GitHub's
// description.
func TestEachCallAnswersAsDescribed(t *testing.T) {
	s := New(t)
	s.Receiver = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	r := s.AddRepo("acme/api")
	ids := r.Chain("main", 3)
	r.Branch("topic/x", ids[1])
	head := r.Chain("topic/x", 2)[1]
	r.Protect("main", "switchyard/test")
	r.RequireByRuleset("main", "switchyard/lint")
	pull := r.OpenPull("topic/x", "main")
	r.Label(pull, "safe to/test", "docs")
	app := s.AddApp(map[string]string{"checks": "write", "contents": "read", "statuses": "write", "metadata": "read"})
	app.Install("acme")
	app.SetHook("https://yard.test/hook", "x")
	hook := r.AddHook("https://yard.test/hook", "x", "push")
	org := s.AddOrgHook("acme", "https://yard.test/hook", "x", "push")
	r.Push("main")
	jwt := app.JWT(t)
	_, said := ask(t, s, jwt, "GET", "repos/acme/api/installation", "")
	var installed struct{ ID int64 }
	if err := json.Unmarshal([]byte(said), &installed); err != nil {
		t.Fatal(err)
	}
	_, said = ask(t, s, jwt, "POST", fmt.Sprintf("app/installations/%d/access_tokens", installed.ID), `{"permissions":{"checks":"write"},"repositories":["api"]}`)
	var token struct{ Token string }
	if err := json.Unmarshal([]byte(said), &token); err != nil {
		t.Fatal(err)
	}
	deliveries := s.Deliveries("https://yard.test/hook")
	if len(deliveries) != 3 {
		t.Fatalf("%d deliveries", len(deliveries))
	}
	checkBody := `{"name":"x","head_sha":"` + head + `","conclusion":"failure","output":{"title":"t","summary":"s","annotations":[{"path":"a.go","start_line":1,"end_line":1,"annotation_level":"failure","message":"m"}]}}`
	_, said = ask(t, s, token.Token, "POST", "repos/acme/api/check-runs", checkBody)
	var check struct{ ID int64 }
	if err := json.Unmarshal([]byte(said), &check); err != nil {
		t.Fatal(err)
	}
	repo := "repos/acme/api/"
	for _, row := range []struct {
		token, method, path, body string
		want                      int
	}{
		{AnyToken, "GET", "rate_limit", "", 200},
		{AnyToken, "GET", "user", "", 200},
		{token.Token, "GET", "users/ada", "", 200},
		{AnyToken, "GET", "repos/acme/api", "", 200},
		{AnyToken, "GET", repo + "commits?sha=topic/x", "", 200},
		{AnyToken, "GET", repo + "commits/" + head, "", 200},
		{AnyToken, "GET", repo + "compare/" + ids[0] + "..." + head + "?per_page=1", "", 200},
		{AnyToken, "GET", repo + "branches", "", 200},
		{AnyToken, "GET", repo + "branches/main", "", 200},
		{AnyToken, "GET", repo + "branches/topic%2Fx", "", 200},
		{AnyToken, "GET", repo + "rules/branches/main", "", 200},
		{AnyToken, "POST", repo + "statuses/" + head, `{"state":"success","context":"c","target_url":"https://yard.test/"}`, 201},
		{AnyToken, "GET", repo + "commits/" + head + "/status", "", 200},
		{AnyToken, "GET", repo + "commits/" + head + "/statuses", "", 200},
		{AnyToken, "GET", repo + "pulls?state=open&sort=updated&direction=desc", "", 200},
		{AnyToken, "GET", fmt.Sprintf("%spulls/%d", repo, pull), "", 200},
		{AnyToken, "GET", fmt.Sprintf("%spulls/%d/commits", repo, pull), "", 200},
		{AnyToken, "GET", repo + "collaborators/acme/permission", "", 200},
		{AnyToken, "POST", fmt.Sprintf("%sissues/%d/comments", repo, pull), `{"body":"hello"}`, 201},
		{AnyToken, "GET", fmt.Sprintf("%sissues/%d/comments", repo, pull), "", 200},
		{AnyToken, "DELETE", fmt.Sprintf("%sissues/%d/labels/safe%%20to%%2Ftest", repo, pull), "", 200},
		{token.Token, "GET", repo + "commits/" + head + "/check-runs", "", 200},
		{token.Token, "GET", fmt.Sprintf("%scheck-runs/%d", repo, check.ID), "", 200},
		{token.Token, "PATCH", fmt.Sprintf("%scheck-runs/%d", repo, check.ID), `{"status":"in_progress"}`, 200},
		{token.Token, "GET", fmt.Sprintf("%scheck-runs/%d/annotations", repo, check.ID), "", 200},
		{AnyToken, "GET", repo + "hooks", "", 200},
		{AnyToken, "POST", repo + "hooks", `{"name":"web","active":true,"events":["push"],"config":{"url":"https://other.test/","content_type":"json","secret":"x","insecure_ssl":"0"}}`, 201},
		{AnyToken, "GET", fmt.Sprintf("%shooks/%d", repo, hook), "", 200},
		{AnyToken, "PATCH", fmt.Sprintf("%shooks/%d", repo, hook), `{"active":true}`, 200},
		{AnyToken, "POST", fmt.Sprintf("%shooks/%d/pings", repo, hook), "", 204},
		{AnyToken, "POST", fmt.Sprintf("%shooks/%d/tests", repo, hook), "", 204},
		{AnyToken, "GET", fmt.Sprintf("%shooks/%d/deliveries?per_page=1", repo, hook), "", 200},
		{AnyToken, "GET", fmt.Sprintf("%shooks/%d/deliveries/%d", repo, hook, deliveries[0].ID), "", 200},
		{AnyToken, "POST", fmt.Sprintf("%shooks/%d/deliveries/%d/attempts", repo, hook, deliveries[0].ID), "", 202},
		{AnyToken, "GET", "orgs/acme/hooks", "", 200},
		{AnyToken, "GET", fmt.Sprintf("orgs/acme/hooks/%d/deliveries", org), "", 200},
		{AnyToken, "POST", fmt.Sprintf("orgs/acme/hooks/%d/deliveries/%d/attempts", org, deliveries[1].ID), "", 202},
		{AnyToken, "GET", repo + "branches/main/protection/required_status_checks", "", 200},
		{AnyToken, "PATCH", repo + "branches/main/protection/required_status_checks", `{"strict":false}`, 200},
		{AnyToken, "POST", repo + "branches/main/protection/required_status_checks/contexts", `{"contexts":["more"]}`, 200},
		{jwt, "GET", "app", "", 200},
		{jwt, "GET", "app/hook/config", "", 200},
		{jwt, "GET", "app/hook/deliveries", "", 200},
		{jwt, "GET", fmt.Sprintf("app/hook/deliveries/%d", deliveries[2].ID), "", 200},
		{jwt, "POST", fmt.Sprintf("app/hook/deliveries/%d/attempts", deliveries[2].ID), "", 202},
		{AnyToken, "DELETE", fmt.Sprintf("%shooks/%d", repo, hook), "", 204},
	} {
		response, said := ask(t, s, row.token, row.method, row.path, row.body)
		if response.StatusCode != row.want {
			t.Errorf("%s %s: %d %s", row.method, row.path, response.StatusCode, said)
		}
	}
	for pattern := range operations {
		method, path, _ := strings.Cut(pattern, " ")
		re := strings.NewReplacer("{owner}", "acme", "{repo}", "api").Replace(path)
		before, _, _ := strings.Cut(re, "{")
		if len(s.Calls(method+" "+before)) == 0 {
			t.Errorf("%s is not called by this test", pattern)
		}
	}
}

func TestListsArePaged(t *testing.T) {
	s := New(t)
	r := s.AddRepo("acme/api")
	ids := r.Chain("main", 310)
	r.Branch("old", ids[9])
	r.OpenPull("main", "old")
	for name, row := range map[string]struct {
		path         string
		first, total int
		last         string
	}{
		"a comparison, unpaged":  {"repos/acme/api/compare/" + ids[0] + "..." + ids[309], 250, 309, ""},
		"a comparison":           {"repos/acme/api/compare/" + ids[0] + "..." + ids[309] + "?per_page=100", 100, 309, "page=4"},
		"a comparison's last":    {"repos/acme/api/compare/" + ids[0] + "..." + ids[309] + "?per_page=100&page=4", 9, 309, ""},
		"more than the most":     {"repos/acme/api/compare/" + ids[0] + "..." + ids[309] + "?per_page=500", 100, 309, "page=4"},
		"the usual":              {"repos/acme/api/commits", 30, 0, "page=11"},
		"of a pull request, cut": {"repos/acme/api/pulls/1/commits?per_page=100&page=3", 50, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			response, said := ask(t, s, AnyToken, "GET", row.path, "")
			var got struct {
				TotalCommits int `json:"total_commits"`
				Commits      []sha
			}
			if strings.HasPrefix(said, "[") {
				said = `{"commits":` + said + `}`
			}
			if err := json.Unmarshal([]byte(said), &got); err != nil {
				t.Fatal(err)
			}
			link := response.Header.Get("Link")
			if len(got.Commits) != row.first || got.TotalCommits != row.total || strings.Contains(link, `rel="last"`) != (row.last != "") || !strings.Contains(link, row.last) {
				t.Errorf("%d of %d, Link %q", len(got.Commits), got.TotalCommits, link)
			}
		})
	}
	// Oldest first, as git has it.
	got := get[struct{ Commits []sha }](t, s, "repos/acme/api/compare/"+ids[100]+"..."+ids[103])
	if !slices.Equal(shas(got.Commits), ids[101:104]) {
		t.Errorf("%v", got)
	}
}

func TestWhatHasNotChangedCostsNothing(t *testing.T) {
	s := New(t)
	r := s.AddRepo("acme/api")
	r.Chain("main", 1)
	r.Chain("x", 1)
	r.OpenPull("x", "main")
	first, _ := ask(t, s, AnyToken, "GET", "repos/acme/api/pulls", "")
	left := first.Header.Get("X-RateLimit-Remaining")
	again, said := ask(t, s, AnyToken, "GET", "repos/acme/api/pulls", "", "If-None-Match", first.Header.Get("ETag"))
	if again.StatusCode != http.StatusNotModified || said != "" || again.Header.Get("X-RateLimit-Remaining") != left {
		t.Errorf("%d, %s left of %s", again.StatusCode, again.Header.Get("X-RateLimit-Remaining"), left)
	}
	r.Chain("x", 1)
	if third, _ := ask(t, s, AnyToken, "GET", "repos/acme/api/pulls", "", "If-None-Match", first.Header.Get("ETag")); third.StatusCode != http.StatusOK || third.Header.Get("X-RateLimit-Remaining") == left {
		t.Errorf("after a push: %d", third.StatusCode)
	}
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(t)
		r := s.AddRepo("acme/api")
		head := r.Chain("main", 1)[0]
		post := func() *http.Response {
			response, _ := ask(t, s, AnyToken, "POST", "repos/acme/api/statuses/"+head, `{"state":"success","context":"c"}`)
			return response
		}
		for i := range 80 {
			if got := post().StatusCode; got != http.StatusCreated {
				t.Fatalf("status %d: %d", i, got)
			}
		}
		if got := post(); got.StatusCode != http.StatusForbidden || got.Header.Get("Retry-After") != "60" {
			t.Errorf("the 81st: %d, Retry-After %q", got.StatusCode, got.Header.Get("Retry-After"))
		}
		for range 5 {
			time.Sleep(time.Minute + time.Second)
			for range 84 {
				post()
			}
		}
		if got := post(); got.StatusCode != http.StatusForbidden {
			t.Errorf("the 501st in an hour: %d", got.StatusCode)
		}
		s.mu.Lock()
		n := len(r.statuses[head])
		s.mu.Unlock()
		if n != 480 { // 80 a minute
			t.Errorf("%d statuses", n)
		}
		time.Sleep(time.Hour)
		s.SetRemaining(AnyToken, 1)
		if got := post(); got.StatusCode != http.StatusCreated || got.Header.Get("X-RateLimit-Remaining") != "0" {
			t.Errorf("the last of the hour: %d", got.StatusCode)
		}
		if got := post(); got.StatusCode != http.StatusForbidden || got.Header.Get("Retry-After") != "" {
			t.Errorf("after it: %d", got.StatusCode)
		}
		time.Sleep(time.Hour)
		if got := post(); got.StatusCode != http.StatusCreated {
			t.Errorf("an hour later: %d", got.StatusCode)
		}
	})
}

func TestThousandStatusesOfACommitAndContext(t *testing.T) {
	s := New(t)
	s.Limits = Limits{}
	head := s.AddRepo("acme/api").Chain("main", 1)[0]
	last := 0
	for range MaxStatuses + 1 {
		response, _ := ask(t, s, AnyToken, "POST", "repos/acme/api/statuses/"+head, `{"state":"success","context":"c"}`)
		last = response.StatusCode
	}
	other, _ := ask(t, s, AnyToken, "POST", "repos/acme/api/statuses/"+head, `{"state":"success","context":"d"}`)
	if last != 422 || other.StatusCode != http.StatusCreated {
		t.Errorf("%d, and of another context %d", last, other.StatusCode)
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	s := New(t)
	head := s.AddRepo("acme/api").Chain("main", 1)[0]
	s.AddRepo("acme/web")
	s.AddToken(Token{Text: "old", Login: "ada", Expires: time.Now().Add(-time.Second)})
	s.AddToken(Token{Text: "fine", Login: "ada", Permissions: map[string]string{"contents": "read"}, Repositories: []string{"acme/api"}, Expires: time.Now().Add(time.Hour)})
	s.AddToken(Token{Text: "classic", Login: "ada", Scopes: []string{"repo:status"}})
	app := s.AddApp(map[string]string{"contents": "read", "checks": "write"})
	app.Install("acme", "acme/api")
	for _, row := range []struct {
		token, method, path, body string
		want                      int
		said                      string
	}{
		{"nonsense", "GET", "repos/acme/api", "", 401, "Bad credentials"},
		{"old", "GET", "repos/acme/api", "", 401, "Bad credentials"},
		{"fine", "GET", "repos/acme/api", "", 200, ""},
		{"fine", "GET", "repos/acme/web", "", 404, "Not Found"},
		{"fine", "POST", "repos/acme/api/statuses/" + head, `{"state":"success"}`, 403, "Resource not accessible by personal access token"},
		{"classic", "POST", "repos/acme/api/statuses/" + head, `{"state":"success"}`, 201, ""},
		{"classic", "GET", "repos/acme/api/hooks", "", 404, "Not Found"},
		{AnyToken, "POST", "repos/acme/api/check-runs", `{"name":"x","head_sha":"` + head + `"}`, 403, "authenticate via a GitHub App"},
		{AnyToken, "GET", "app", "", 401, "JSON web token"},
		{app.JWT(t), "GET", "repos/acme/api/installation", "", 200, ""},
		{app.JWT(t), "GET", "repos/acme/web/installation", "", 404, "Not Found"},
	} {
		response, said := ask(t, s, row.token, row.method, row.path, row.body)
		if response.StatusCode != row.want || !strings.Contains(said, row.said) {
			t.Errorf("%s: %s %s: %d %s", row.token, row.method, row.path, response.StatusCode, said)
		}
	}
	response, _ := ask(t, s, "fine", "GET", "repos/acme/api/commits", "")
	if response.Header.Get("X-Accepted-GitHub-Permissions") != "contents=read" || response.Header.Get("GitHub-Authentication-Token-Expiration") == "" {
		t.Errorf("%v", response.Header)
	}
}

func TestDeliveriesThatFailCanBeAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(t)
		var got []string
		s.Receiver = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = append(got, r.Header.Get("X-GitHub-Delivery")) })
		r := s.AddRepo("acme/api")
		hook := r.AddHook("https://yard.test/hook", "secret", "push")
		r.Chain("main", 1)
		s.Deliver(func(*Delivery) Fate { return Lost })
		lost := r.Push("main")[0]
		r.Chain("main", 2)
		s.Deliver(func(*Delivery) Fate { return Held })
		held := r.Push("main")[0]
		s.Deliver(nil)
		if len(got) != 0 || len(r.Push("main")) != 0 {
			t.Errorf("delivered: %v", got)
		}
		s.Release()
		path := fmt.Sprintf("repos/acme/api/hooks/%d/deliveries", hook)
		if response, _ := ask(t, s, AnyToken, "POST", fmt.Sprintf("%s/%d/attempts", path, lost.ID), ""); response.StatusCode != http.StatusAccepted {
			t.Errorf("%d", response.StatusCode)
		}
		s.Settle()
		if want := []string{held.GUID, lost.GUID}; !slices.Equal(got, want) {
			t.Errorf("delivered %v, want %v", got, want)
		}
		list := get[[]struct {
			GUID, Status string
			Redelivery   bool
			StatusCode   int `json:"status_code"`
		}](t, s, path)
		if len(list) != 3 || list[0].GUID != lost.GUID || !list[0].Redelivery || list[0].Status != "OK" || list[2].Status == "OK" || list[2].StatusCode != 0 {
			t.Errorf("%+v", list)
		}
		// A page ends where its cursor leads on.
		first, _ := ask(t, s, AnyToken, "GET", path+"?per_page=2", "")
		link := first.Header.Get("Link")
		at := strings.TrimPrefix(strings.TrimSuffix(link, `>; rel="next"`), "<"+BaseURL)
		if rest := get[[]object](t, s, at); len(rest) != 1 {
			t.Errorf("the page after %q has %d", link, len(rest))
		}
		time.Sleep(keptFor)
		if list := get[[]object](t, s, path); len(list) != 0 {
			t.Errorf("after three days there are %d", len(list))
		}
	})
}

func TestPushListsAtMost2048Commits(t *testing.T) {
	s := New(t)
	var bodies [][]byte
	s.Receiver = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies = append(bodies, body)
	})
	r := s.AddRepo("acme/api")
	r.AddHook("https://yard.test/hook", "secret", "push")
	ids := r.Chain("main", 2050)
	r.Push("main")
	var p struct {
		Before, After string
		Created       bool
		Commits       []struct {
			ID       string
			Added    []string
			Distinct bool
		}
	}
	if err := json.Unmarshal(bodies[0], &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Commits) != 2048 || p.After != ids[2049] || !p.Created || p.Commits[0].ID != ids[0] || !p.Commits[0].Distinct || !slices.Equal(p.Commits[1].Added, []string{"src/main/0/2.txt"}) {
		t.Errorf("%d commits, %+v", len(p.Commits), p.Commits[:2])
	}
}
