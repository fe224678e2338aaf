package github

import (
	"context"
	"fmt"
	"net/http"
	"time"

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
		return "", c.verdict(ctx, "get a token to clone "+repository, repository, err)
	}
	return token, nil
}

type cloneToken struct {
	text    string
	expires time.Time
}

// cloneToken returns a token that can read one repository.
func (a *app) cloneToken(ctx context.Context, owner, repo string) (string, error) {
	name := owner + "/" + repo
	if t := a.keptClone(name); t != "" {
		return t, nil
	}
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if t := a.keptClone(name); t != "" {
		return t, nil // whoever had the turn before has asked
	}
	id, err := a.installation(ctx, owner, repo)
	if err != nil {
		return "", err
	}
	made, response, err := a.self.Apps.CreateInstallationToken(ctx, id, &github.InstallationTokenOptions{
		Repositories: []string{repo},
		Permissions:  &github.InstallationPermissions{Contents: github.String("read")},
	})
	switch {
	case response != nil && response.StatusCode == http.StatusUnprocessableEntity:
		return "", &dispatch.PermanentError{Err: fmt.Errorf("the app may not read the contents of %s: %w", name, err)}
	case response != nil && response.StatusCode == http.StatusNotFound:
		// It may have been installed anew, under another ID: look again later.
		a.doubt(name, http.StatusNotFound)
		return "", fmt.Errorf("installation %d is gone: %v", id, err)
	case err != nil:
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for other, t := range a.clones {
		if !a.lasts(t.expires) {
			delete(a.clones, other)
		}
	}
	a.clones[name] = cloneToken{made.GetToken(), made.GetExpiresAt().Time}
	return made.GetToken(), nil
}

func (a *app) keptClone(name string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.clones[name]; a.lasts(t.expires) {
		return t.text
	}
	return ""
}

// lasts reports whether a token is still used that ends then.
func (a *app) lasts(expires time.Time) bool { return a.now().Before(expires.Add(-tokenSlack)) }
