package github

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"switchyard/dispatch"
	"switchyard/githost"
)

var _ githost.Standings = (*Client)(nil)

// noCommit is the ID of no commit.
const noCommit = "0000000000000000000000000000000000000000"

// Standing implements [githost.Standings]. Of an App the installation says what it
// may do, of a classic token its scopes do. Of a fine-grained token nothing does:
// calls that change nothing find out, among them one for the status of a commit
// that does not exist, which GitHub refuses in one way to those who may write
// statuses and in another to those who may not.
func (c *Client) Standing(ctx context.Context, repository string) (githost.Standing, error) {
	q, err := c.about(ctx, repository)
	if err != nil {
		return githost.Standing{}, err
	}
	rate, response, err := q.api.RateLimit.Get(ctx)
	if err != nil && codeOf(err) != http.StatusNotFound { // GitHub Enterprise Server without limits
		return githost.Standing{}, q.refused(ctx, "read the rate limit", toSeePeople, err)
	}
	var s githost.Standing
	if core := rate.GetCore(); core != nil {
		s.Limit, s.Left, s.Reset = core.Limit, core.Remaining, core.Reset.Time
	}
	s.Clock, _ = http.ParseTime(response.Header.Get("Date"))
	s.Expires = response.TokenExpiration.Time
	if q.app != nil {
		return q.ofApp(ctx, s)
	}
	who, response, err := q.api.Users.Get(ctx, "")
	if err != nil {
		return githost.Standing{}, q.refused(ctx, "ask who we are", toSeePeople, err)
	}
	s.Login = who.GetLogin()
	if classic := response.Header.Values("X-OAuth-Scopes"); len(classic) > 0 {
		scopes := strings.FieldsFunc(strings.Join(classic, ","), func(r rune) bool { return r == ',' || r == ' ' })
		if !slices.Contains(scopes, "repo") {
			s.Missing = append(s.Missing, "scope repo")
		}
		return s, nil
	}
	s.Missing, err = q.finds(ctx)
	return s, err
}

// finds are the permissions that a fine-grained token lacks.
func (q *call) finds(ctx context.Context) (missing []string, err error) {
	for _, try := range []struct {
		needs string
		call  func() error
	}{
		{toRead, func() error {
			_, _, err := q.api.Repositories.ListCommits(ctx, q.owner, q.name, &github.CommitsListOptions{ListOptions: github.ListOptions{PerPage: 1}})
			return err
		}},
		{toReadPulls, func() error {
			_, _, err := q.api.PullRequests.List(ctx, q.owner, q.name, &github.PullRequestListOptions{ListOptions: github.ListOptions{PerPage: 1}})
			return err
		}},
		{toWriteStatus, func() error {
			_, _, err := q.api.Repositories.CreateStatus(ctx, q.owner, q.name, noCommit, &github.RepoStatus{State: github.String("pending"), Context: github.String("switchyard")})
			return err
		}},
	} {
		err := try.call()
		switch code := codeOf(err); {
		case err == nil, code == http.StatusUnprocessableEntity, code == http.StatusConflict: // there is no such commit, or none at all
		case code == http.StatusForbidden && q.Throttled(err, err) == nil:
			missing = append(missing, try.needs)
		case code == http.StatusNotFound:
			return []string{"access to the repository"}, nil
		default:
			return nil, q.refused(ctx, "find out what we may do", try.needs, err)
		}
	}
	return missing, nil
}

func (q *call) ofApp(ctx context.Context, s githost.Standing) (githost.Standing, error) {
	who, _, err := q.app.self.Apps.Get(ctx, "")
	if err != nil {
		return githost.Standing{}, q.refused(ctx, "ask who we are", toSeePeople, err)
	}
	s.Login, s.Expires = who.GetSlug()+"[bot]", time.Time{} // tokens of an hour are renewed
	installed, _, err := q.app.self.Apps.FindRepositoryInstallation(ctx, q.owner, q.name)
	if codeOf(err) == http.StatusNotFound {
		return githost.Standing{}, &dispatch.PermanentError{Err: q.refused(ctx, "find the App's installation", toSeePeople, err)}
	}
	if err != nil {
		return githost.Standing{}, q.refused(ctx, "find the App's installation", toSeePeople, err)
	}
	p := installed.GetPermissions()
	has := func(level, least string) bool {
		return level == least || level == "write" && least == "read" || level == "admin"
	}
	for _, row := range []struct{ level, least, needs string }{
		{p.GetContents(), "read", toRead}, {p.GetPullRequests(), "read", toReadPulls},
	} {
		if !has(row.level, row.least) {
			s.Missing = append(s.Missing, row.needs)
		}
	}
	if !has(p.GetChecks(), "write") && !has(p.GetStatuses(), "write") {
		s.Missing = append(s.Missing, toWriteChecks)
	}
	return s, nil
}
