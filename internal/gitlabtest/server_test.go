package gitlabtest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	gl "gitlab.com/gitlab-org/api/client-go"

	"switchyard/internal/gitlabtest"
	"switchyard/internal/gittest"
	"switchyard/webhook"
	"switchyard/webhook/gitlab"
)

// ask makes a call of the stand-in.
func ask(t *testing.T, s *gitlabtest.Server, method, path string, change func(*http.Request)) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/api/v4"+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("PRIVATE-TOKEN", s.Secret)
	if change != nil {
		change(r)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, body
}

// TestAnswersAreThoseOfGitLab decodes the answers into the types of GitLab's own
// client, which must know every member.
func TestAnswersAreThoseOfGitLab(t *testing.T) {
	s := gitlabtest.New(t)
	p := s.Project("acme/platform/api")
	main := p.Chain("main", 2)
	p.Add("topic", gittest.Commit{Message: "t", Parents: main, Files: map[string]string{"x": "y"}})
	p.Open(p, "topic", "main", "Topic")
	p.Hook("https://example.test/", "s")
	u := s.User("ada")
	p.Member(u, gitlabtest.Developer, s.Now())
	p.Pipeline(main[1], "main")
	const at = "/projects/acme%2Fplatform%2Fapi"
	for path, into := range map[string]any{
		"/user": &gl.User{}, "/users?username=ada": &[]*gl.User{}, "/personal_access_tokens/self": &gl.PersonalAccessToken{},
		at: &gl.Project{}, at + "/members/all/" + strconv.FormatInt(u.ID, 10): &gl.ProjectMember{},
		at + "/repository/branches/main":                    &gl.Branch{},
		at + "/repository/commits?ref_name=main":            &[]*gl.Commit{},
		at + "/repository/commits/" + main[0]:               &gl.Commit{},
		at + "/repository/compare?from=main&to=topic":       &gl.Compare{},
		at + "/repository/tree?ref=topic&recursive=true":    &[]*gl.TreeNode{},
		at + "/merge_requests?state=opened":                 &[]*gl.BasicMergeRequest{},
		at + "/merge_requests/1":                            &gl.MergeRequest{},
		at + "/merge_requests/1/commits":                    &[]*gl.Commit{},
		at + "/pipelines?sha=" + main[1]:                    &[]*gl.PipelineInfo{},
		at + "/hooks":                                       &[]*gl.ProjectHook{},
		at + "/repository/commits/" + main[1] + "/statuses": &[]*gl.CommitStatus{},
	} {
		response, body := ask(t, s, http.MethodGet, path, nil)
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(into); err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %v: %s", path, response.StatusCode, err, body)
		}
	}
}

func TestPagesAndConditionalRequests(t *testing.T) {
	s := gitlabtest.New(t)
	p := s.Project("acme/api")
	ids := p.Chain("main", 7)
	var got []string
	path := "/projects/acme%2Fapi/repository/commits?per_page=3"
	pages := 0
	for next := "1"; next != ""; pages++ {
		response, body := ask(t, s, http.MethodGet, path+"&page="+next, nil)
		var page []struct{ ID string }
		if err := json.Unmarshal(body, &page); err != nil {
			t.Fatal(err)
		}
		for _, c := range page {
			got = append(got, c.ID)
		}
		next = response.Header.Get("X-Next-Page")
		if link := response.Header.Get("Link"); (next != "") != strings.Contains(link, `rel="next"`) || next != "" && !strings.Contains(link, "page="+next+"&") {
			t.Errorf("Link %q, X-Next-Page %q", link, next)
		}
	}
	slices.Reverse(got)
	if pages != 3 || !slices.Equal(got, ids) {
		t.Errorf("%d pages: %v", pages, got)
	}
	first, _ := ask(t, s, http.MethodGet, path, nil)
	same := func(r *http.Request) { r.Header.Set("If-None-Match", first.Header.Get("ETag")) }
	if again, body := ask(t, s, http.MethodGet, path, same); again.StatusCode != http.StatusNotModified || len(body) != 0 {
		t.Errorf("%d", again.StatusCode)
	}
	p.Chain("main", 1)
	if again, _ := ask(t, s, http.MethodGet, path, same); again.StatusCode != http.StatusOK {
		t.Errorf("%d after a commit", again.StatusCode)
	}
}

func TestWhoMayAsk(t *testing.T) {
	s := gitlabtest.New(t)
	p := s.Project("acme/api")
	p.Chain("main", 1)
	status := func(path string, change func(*http.Request)) int {
		response, _ := ask(t, s, http.MethodGet, path, change)
		return response.StatusCode
	}
	const at = "/projects/acme%2Fapi"
	bearer := func(token string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Del("PRIVATE-TOKEN")
			r.Header.Set("Authorization", "Bearer "+token)
		}
	}
	if got := status(at, bearer(s.Secret)); got != http.StatusOK {
		t.Errorf("as an OAuth token: %d", got)
	}
	if got := status(at, bearer("x")); got != http.StatusUnauthorized {
		t.Errorf("with another token: %d", got)
	}
	if got := status("/projects/acme%2Fother", nil); got != http.StatusNotFound {
		t.Errorf("another project: %d", got)
	}
	p.Role = gitlabtest.Developer
	if got := status(at+"/hooks", nil); got != http.StatusForbidden {
		t.Errorf("hooks as a developer: %d", got)
	}
	s.Limit = 1
	if got := []int{status(at, nil), status(at, nil)}; !slices.Equal(got, []int{http.StatusOK, http.StatusTooManyRequests}) {
		t.Errorf("with one call a minute: %v", got)
	}
}

// TestDeliveriesAreThoseOfGitLab holds what is delivered against the types of
// GitLab's own client, and against the source that reads deliveries.
func TestDeliveriesAreThoseOfGitLab(t *testing.T) {
	const secret = "s"
	source, err := gitlab.New(gitlab.Config{Secrets: []string{secret}})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var told []string
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if _, err := gl.ParseWebhook(gl.HookEventType(r), body); err != nil {
			t.Errorf("%s: %v", gl.HookEventType(r), err)
		}
		if err := source.Verify(r.Header, body); err != nil {
			t.Error(err)
		}
		evs, err := webhook.DecodeAll(source, r.Header, body)
		if err != nil {
			t.Errorf("%s: %v", body, err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, ev := range evs {
			text := string(ev.Kind) + " " + ev.Action + " " + ev.Ref + " " + strconv.Itoa(len(ev.Commits)) + " of " + strconv.Itoa(ev.Total)
			if ev.Truncated {
				text += ", truncated"
			}
			told = append(told, text)
		}
	}))
	defer receiver.Close()
	want := func(what string, lines ...string) {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(told, lines) {
			t.Errorf("%s: %q", what, told)
		}
		told = nil
	}
	s := gitlabtest.New(t)
	p := s.Project("acme/api")
	p.Hook(receiver.URL, secret)
	main := p.Chain("main", 2)
	p.Push()
	want("the first push", "push  refs/heads/main 2 of 2")
	p.Add("topic", gittest.Commit{Message: "t", Parents: main[:1]})
	p.Git("tag", "-a", "-m", "v1", "v1", main[1])
	p.Push()
	want("a branch and a tag", "push  refs/heads/topic 1 of 1", "push  refs/tags/v1 1 of 0")
	m := p.Open(p, "topic", "main", "Topic")
	want("opened", "pull_request opened refs/heads/topic 1 of 0, truncated")
	p.Chain("topic", 60)
	p.Push()
	want("60 commits", "push  refs/heads/topic 20 of 60, truncated", "pull_request synchronize refs/heads/topic 1 of 0, truncated")
	m.Change(func(m *gitlabtest.MergeRequest) { m.State = "closed" }, nil)
	want("closed", "pull_request closed refs/heads/topic 1 of 0")
	p.Git("update-ref", "-d", "refs/heads/topic")
	p.Push()
	want("deleted", "delete  refs/heads/topic 1 of 0")
	for _, b := range []string{"a", "b", "c", "d"} {
		p.Git("update-ref", "refs/heads/"+b, main[0])
	}
	p.Push()
	want("four branches at once")
}
