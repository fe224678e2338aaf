package gitlab

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go"
)

// userName is the form of GitLab's user names, those of bots included.
var userName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,255}$`)

// MayWrite implements [githost.Judge]: whoever has at least the role Developer,
// in the project or in a group above it, may push to branches that are not
// protected.
func (c *Client) MayWrite(ctx context.Context, repository, login string) (bool, error) {
	q, err := c.about(repository)
	if err != nil {
		return false, err
	}
	if !userName.MatchString(login) {
		return false, nil
	}
	users, _, err := c.api.Users.ListUsers(&gl.ListUsersOptions{Username: &login}, gl.WithContext(ctx))
	if err != nil {
		return false, q.failed(ctx, "look for a user", err)
	}
	for _, u := range users {
		if !strings.EqualFold(u.Username, login) || u.State != "active" {
			continue
		}
		m, _, err := c.api.ProjectMembers.GetInheritedProjectMember(repository, u.ID, gl.WithContext(ctx))
		switch {
		case notFound(err):
			return false, nil // not a member, or the project is not ours to see: either way nobody may
		case err != nil:
			return false, q.failed(ctx, "read a member's role", err)
		}
		ended := m.ExpiresAt != nil && time.Time(*m.ExpiresAt).Before(c.now())
		return m.AccessLevel >= gl.DeveloperPermissions && m.State == "active" && !ended, nil
	}
	return false, nil
}

// Comment implements [githost.Commenter]. A line that begins with a slash is
// shown, and not taken for one of GitLab's quick actions, such as /merge.
func (c *Client) Comment(ctx context.Context, repository string, pullRequest int, text string) error {
	q, err := c.about(repository)
	if err != nil {
		return err
	}
	body := quickAction.ReplaceAllString(text, `$1\/`)
	if _, _, err = c.api.Notes.CreateMergeRequestNote(repository, int64(pullRequest), &gl.CreateMergeRequestNoteOptions{Body: &body}, gl.WithContext(ctx)); err != nil {
		return q.verdict(ctx, fmt.Sprintf("comment on merge request %d", pullRequest), repository, toWrite, err)
	}
	return nil
}

// quickAction is the beginning of a line that may be one.
var quickAction = regexp.MustCompile(`(?m)^([ \t>]*)/`)
