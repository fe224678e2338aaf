package gitlab

import (
	"context"

	"switchyard/githost/gitrefs"
)

// cloneUser is what GitLab takes as the user of any token; it looks at the
// password alone.
const cloneUser = "oauth2"

// CloneCredentials returns what a repository can be fetched with over HTTPS: any
// user name, and the token, for which it needs the scope read_repository or api.
func (c *Client) CloneCredentials(repository string) (user, password string, err error) {
	if err := CheckName(repository); err != nil {
		return "", "", err
	}
	return cloneUser, c.token, nil
}

// Refs implements [githost.Refs] by git's own protocol.
func (c *Client) Refs(ctx context.Context, repository string) (map[string]string, error) {
	user, password, err := c.CloneCredentials(repository)
	if err != nil {
		return nil, err
	}
	return gitrefs.List(ctx, c.transport, c.cloneBase+"/"+repository+".git", user, password)
}
