package status_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"switchyard/dispatch"
	"switchyard/dispatch/status"
	statusgithub "switchyard/dispatch/status/github"
	githost "switchyard/githost/github"
	"switchyard/internal/githubtest"
)

// A push of as many commits as a delivery can list is told within what GitHub
// takes, which the stand-in enforces: 80 a minute, 500 an hour. Newer commits come
// first, and an execution that ends before it was told pending is told once.
func TestTwoThousandCommitsStayWithinGitHubsLimits(t *testing.T) {
	for kind, row := range map[string]struct {
		permissions map[string]string
		commits     int
		within      time.Duration // 500 an hour, and some that were told pending at first
	}{"statuses": {nil, 2048, 4*time.Hour + 20*time.Minute}, "checks": {map[string]string{"checks": "write"}, 600, time.Hour + 20*time.Minute}} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				commits := row.commits
				gh := githubtest.New(t)
				repo := gh.AddRepo("acme/api")
				shas := repo.Chain("main", commits)
				cfg := githost.Config{BaseURL: githubtest.BaseURL, Token: githubtest.AnyToken}
				if row.permissions != nil {
					app := gh.AddApp(row.permissions)
					app.Install("acme")
					cfg.Token, cfg.App = "", &githost.App{ID: app.ID, PrivateKey: app.PrivateKey}
				}
				host, err := githost.New(cfg, githost.WithTransport(gh.Transport()))
				if err != nil {
					t.Fatal(err)
				}
				poster, err := statusgithub.New(host, statusgithub.Config{})
				if err != nil {
					t.Fatal(err)
				}
				outbox := status.NewMemOutbox()
				want := func(i int, state dispatch.StatusState) {
					outbox.Want(int64(i), dispatch.Status{Source: "github", Repository: "acme/api", SHA: shas[i], Context: "switchyard/all", State: state, Execution: "x-" + shas[i]})
				}
				for i := range commits {
					want(i, dispatch.StatusPending)
				}
				worker, err := status.New(outbox, map[string]status.Poster{"github": poster}, status.Config{PollInterval: 15 * time.Second})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				began := time.Now()
				go func() { ended <- worker.Run(ctx) }()
				// The executions run in the order of the commits, one ends each second.
				for i := range commits {
					time.Sleep(time.Second)
					want(i, dispatch.StatusSuccess)
				}
				synctest.Wait()
				for outbox.Open() > 0 && time.Since(began) < 6*time.Hour {
					time.Sleep(time.Minute)
				}
				took := time.Since(began)
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if outbox.Open() > 0 || gh.Limited() > 0 {
					t.Errorf("after %v %d statuses wait, and GitHub had to refuse %d calls", took, outbox.Open(), gh.Limited())
				}
				if took > row.within {
					t.Errorf("it took %v", took)
				}
				wrote := 0
				first := map[string]int{} // of the ends, the place at which each was told
				for _, c := range append(gh.Calls("POST /repos/"), gh.Calls("PATCH /repos/")...) {
					wrote++
					if !strings.Contains(c.Body, "success") {
						continue
					}
					first[c.Path[strings.LastIndex(c.Path, "/")+1:]] = wrote
				}
				if wrote > commits+300 {
					t.Errorf("%d calls that write: pending was told of what had ended", wrote)
				}
				if kind == "statuses" {
					if first[shas[commits-1]] > first[shas[commits/2]] {
						t.Errorf("the newest commit's end was told as number %d, one in the middle as %d", first[shas[commits-1]], first[shas[commits/2]])
					}
					if n := len(first); n != commits {
						t.Errorf("%d commits were told", n)
					}
				} else if n := len(repo.CheckRuns(shas[0])) + len(repo.CheckRuns(shas[commits-1])); n != 2 {
					t.Errorf("%d check runs of two commits", n)
				}
				if s := worker.Stats()[0]; s.Posted < uint64(commits) || s.Lag < time.Hour {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// One commit and context take 1,000 statuses. What comes then is refused for good,
// and holds nothing else back.
func TestAThousandStatusesOfOneContext(t *testing.T) {
	gh := githubtest.New(t)
	repo := gh.AddRepo("acme/api")
	sha := repo.Chain("main", 1)[0]
	host, err := githost.New(githost.Config{BaseURL: githubtest.BaseURL, Token: githubtest.AnyToken}, githost.WithTransport(gh.Transport()))
	if err != nil {
		t.Fatal(err)
	}
	poster, err := statusgithub.New(host, statusgithub.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := dispatch.Status{Source: "github", Repository: "acme/api", SHA: sha, Context: "switchyard/all", State: dispatch.StatusPending}
	repo.AddStatuses(sha, s.Context, githubtest.MaxStatuses-1)
	if err := poster.Post(t.Context(), s, ""); err != nil {
		t.Errorf("the last one: %v", err)
	}
	if err := poster.Post(t.Context(), s, ""); !errors.As(err, new(*dispatch.PermanentError)) || !strings.Contains(err.Error(), "maximum number of statuses") {
		t.Errorf("one more: %v", err)
	}
	s.Context = "switchyard/other"
	if err := poster.Post(t.Context(), s, ""); err != nil {
		t.Errorf("of another context: %v", err)
	}
}
