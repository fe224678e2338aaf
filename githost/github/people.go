package github

import (
	"context"
	"fmt"
	"net/http"
	"regexp"

	"github.com/google/go-github/v60/github"

	"switchyard/githost"
	"switchyard/internal/event"
	"switchyard/internal/safetext"
)

var (
	_ githost.Judge     = (*Client)(nil)
	_ githost.Namer     = (*Client)(nil)
	_ githost.Commenter = (*Client)(nil)
)

// login is the form of GitHub's names of people: an enterprise's may have an
// underscore, and Apps have [bot] behind.
var login = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,98}(\[bot\])?$`)

// MayWrite implements [githost.Judge]. The role is asked for, since a role of an
// organisation's own comes with the permission that it is made of.
func (c *Client) MayWrite(ctx context.Context, repository, who string) (bool, error) {
	if !login.MatchString(who) {
		return false, nil
	}
	q, err := c.about(ctx, repository)
	if err != nil {
		return false, err
	}
	level, _, err := q.api.Repositories.GetPermissionLevel(ctx, q.owner, q.name, who)
	if codeOf(err) == http.StatusNotFound {
		// No such person; or no such repository for us, which is asked for.
		if _, _, err := q.api.Repositories.Get(ctx, q.owner, q.name); err != nil {
			return false, q.refused(ctx, "read the repository", toSeePeople, err)
		}
		return false, nil
	}
	if err != nil {
		return false, q.refused(ctx, "ask what "+who+" may do", toSeePeople, err)
	}
	switch level.GetPermission() {
	case "admin", "write": // maintain counts as write
		return true, nil
	}
	return false, nil
}

// Names implements [githost.Namer]: the name and the address that somebody shows on
// their page. Commits whose address GitHub does not know have no login.
func (c *Client) Names(ctx context.Context, repository, who string) ([]string, error) {
	if !login.MatchString(who) {
		return nil, nil
	}
	q, err := c.about(ctx, repository)
	if err != nil {
		return nil, err
	}
	person, _, err := q.api.Users.Get(ctx, who)
	if codeOf(err) == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, q.refused(ctx, "read the profile of "+who, toSeePeople, err)
	}
	return event.OtherNames(who, person.GetName(), person.GetEmail()), nil
}

// maxComment is the longest comment that GitHub takes, in characters; what we cut
// leaves room for saying so.
const maxComment = 65_000

// Comment implements [githost.Commenter].
func (c *Client) Comment(ctx context.Context, repository string, pullRequest int, text string) error {
	q, err := c.about(ctx, repository)
	if err != nil {
		return err
	}
	if len(text) > maxComment {
		text = safetext.Cut(text, maxComment)
	}
	if _, _, err := q.api.Issues.CreateComment(ctx, q.owner, q.name, pullRequest, &github.IssueComment{Body: &text}); err != nil {
		return q.refused(ctx, fmt.Sprintf("comment on pull request %d", pullRequest), toComment, err)
	}
	return nil
}
