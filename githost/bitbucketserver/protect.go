package bitbucketserver

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"switchyard/githost/internal/rest"
	"switchyard/internal/safetext"
)

// maxKey is the most that a build's key may have, in characters; see the REST
// reference, "Store a build status".
const maxKey = 255

// BuildKey is the key, and the parent's, of the build that stands for a status
// context. One that is too long is cut and gets a digest, so that two never share
// a key.
func BuildKey(statusContext string) string { return safetext.Unique(statusContext, maxKey) }

type matcher struct {
	ID   string `json:"id"`
	Type struct {
		ID string `json:"id"`
	} `json:"type"`
}

// condition requires builds of pull requests into the branches that match.
type condition struct {
	ID             int      `json:"id,omitempty"`
	BuildKeys      []string `json:"buildParentKeys"`
	Matcher        matcher  `json:"refMatcher"`
	ExemptsMatcher *matcher `json:"exemptRefMatcher,omitempty"`
}

// of reports whether the condition names the branch itself, or every branch.
// Patterns and branching models are the host's to judge.
func (c *condition) of(branch string) (exactly, anyway bool) {
	return c.Matcher.Type.ID == "BRANCH" && c.Matcher.ID == "refs/heads/"+branch, c.Matcher.Type.ID == "ANY_REF"
}

func (c *Client) conditions(ctx context.Context, name string) ([]condition, error) {
	at, err := path(requiredBuilds, name, "conditions")
	if err != nil {
		return nil, err
	}
	var all []condition
	err = list(ctx, c, "list the required builds", name, "", &rest.Call{Path: at}, func(more []condition, _ bool) (bool, error) {
		all = append(all, more...)
		return true, nil
	})
	return all, err
}

// Required implements [githost.Protector]: the keys of builds that are required by
// conditions on this branch, or on all. What patterns require is not among them. A
// context stands for the key that [BuildKey] makes of it.
func (c *Client) Required(ctx context.Context, name, branch string) ([]string, error) {
	all, err := c.conditions(ctx, name)
	keys := map[string]bool{}
	for i := range all {
		if exactly, anyway := all[i].of(branch); exactly || anyway {
			for _, key := range all[i].BuildKeys {
				keys[key] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(keys)), err
}

// Require implements [githost.Protector], in the condition that names this branch
// alone, or in a new one.
func (c *Client) Require(ctx context.Context, name, branch string, contexts []string) error {
	all, err := c.conditions(ctx, name)
	if err != nil {
		return err
	}
	wanted := condition{Matcher: matcher{ID: "refs/heads/" + branch}}
	wanted.Matcher.Type.ID = "BRANCH"
	present := map[string]bool{}
	for i := range all {
		exactly, anyway := all[i].of(branch)
		if exactly || anyway {
			for _, key := range all[i].BuildKeys {
				present[key] = true
			}
		}
		if exactly && all[i].ExemptsMatcher == nil && wanted.ID == 0 {
			wanted = all[i]
		}
	}
	added := false
	for _, name := range contexts {
		if key := BuildKey(name); !present[key] {
			wanted.BuildKeys = append(wanted.BuildKeys, key)
			present[key], added = true, true
		}
	}
	if !added {
		return nil
	}
	call := rest.Call{Method: http.MethodPost, Body: wanted}
	call.Path, err = path(requiredBuilds, name, "condition")
	if wanted.ID != 0 {
		call.Method = http.MethodPut
		call.Path, err = path(requiredBuilds, name, "condition", strconv.Itoa(wanted.ID))
	}
	if err != nil {
		return err
	}
	_, err = c.ask(ctx, fmt.Sprintf("require builds on %q", branch), name, adminRepository, call)
	return err
}
