package github

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/google/go-github/v60/github"

	"switchyard/dispatch"
)

// CloneToken returns what a repository can be fetched with over HTTPS, as the
// password of the user x-access-token. Of an App it is a token of its own, that
// can read this repository's contents, nothing else, and for an hour at most.
// Its error is a [*dispatch.PermanentError] or a [dispatch.ErrCannotAsk] when
// asking again soon won't help.
func (c *Client) CloneToken(ctx context.Context, repository string) (string, error) {
	owner, name, err := Split(repository)
	if err != nil {
		return "", err
	}
	if c.app == nil {
		return c.token, nil
	}
	token, err := c.app.cloneToken(ctx, owner, name)
	if err != nil {
		c.app.doubt(repository, err)
		return "", c.verdict(ctx, "get a token to clone "+repository, repository, toRead, err)
	}
	return token, nil
}

// cloneSlack is how long a token to clone with lasts at least.
const cloneSlack = 5 * time.Minute

// cloneToken is a token that can read one repository.
type cloneToken struct {
	installation int64
	// mu keeps the library from replacing the token while its end is read.
	mu    sync.Mutex
	token *ghinstallation.Transport
}

// cloneToken returns a token that can read one repository.
func (a *app) cloneToken(ctx context.Context, owner, repo string) (string, error) {
	name := owner + "/" + repo
	id, err := a.installation(ctx, owner, repo)
	if err != nil {
		return "", err
	}
	a.mu.Lock()
	t := a.clones[name]
	if t == nil || t.installation != id {
		t = &cloneToken{installation: id}
		a.clones[name] = t
	}
	a.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token != nil {
		if end, _, err := t.token.Expiry(); err == nil && time.Until(end) < cloneSlack {
			t.token = nil
		}
	}
	if t.token == nil {
		if t.token, err = a.token(id); err != nil {
			return "", err
		}
		t.token.InstallationTokenOptions = &github.InstallationTokenOptions{
			Repositories: []string{repo},
			Permissions:  &github.InstallationPermissions{Contents: github.String("read")},
		}
	}
	text, err := t.token.Token(ctx)
	if err == nil {
		return text, nil
	}
	err = explained(err)
	if codeOf(err) == http.StatusUnprocessableEntity {
		return "", &dispatch.PermanentError{Err: fmt.Errorf("the app may not read the contents of %s: %w", name, err)}
	}
	return "", err
}
