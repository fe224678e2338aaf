package codecommit

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"switchyard/dispatch"
	"switchyard/internal/awssign"
)

// stampFormat is how a password says when it was made, in UTC.
const stampFormat = "20060102T150405"

// CloneCredentials returns the user and password with which git fetches from a
// clone URL, https://git-codecommit.<region>.amazonaws.com/v1/repos/<name>, as
// the credential helper of the AWS command line makes them: the password is a
// signature of host and path, good for 15 minutes.
//
// An error may pass, unless it is a [*dispatch.PermanentError].
func (c *Client) CloneCredentials(ctx context.Context, cloneURL string) (user, password string, err error) {
	clone, err := url.Parse(cloneURL)
	if err != nil || clone.Scheme != "https" {
		return "", "", &dispatch.PermanentError{Err: errors.New("codecommit: repositories are cloned over https")}
	}
	if c.loaded.Credentials == nil {
		return "", "", errors.New("codecommit: there are no AWS credentials")
	}
	keys, err := c.loaded.Credentials.Retrieve(ctx)
	if err != nil {
		return "", "", fmt.Errorf("codecommit: AWS credentials: %s", shown(err))
	}
	stamp := c.now().UTC().Format(stampFormat)
	canonical := "GIT\n" + clone.EscapedPath() + "\n\nhost:" + clone.Hostname() + "\n\nhost\n"
	user = keys.AccessKeyID
	if keys.SessionToken != "" {
		user += "%" + keys.SessionToken
	}
	scope := awssign.Scope{Time: stamp, Region: c.cfg.Region, Service: "codecommit"}
	return user, stamp + "Z" + scope.Sign(keys.SecretAccessKey, canonical), nil
}
