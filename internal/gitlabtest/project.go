package gitlabtest

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"switchyard/internal/gittest"
)

type object = map[string]any

// Project is a project with its repository.
type Project struct {
	*gittest.Repo
	// Name is the full name, such as group/subgroup/project.
	Name          string
	ID            int64
	DefaultBranch string
	// Role is that of the token's owner; 0 hides the project.
	Role int
	// MustSucceed is the setting "Pipelines must succeed".
	MustSucceed bool
	// DiffFiles is how many files a comparison lists before it is cut; 0 is 1,000.
	DiffFiles int

	s         *Server
	comments  []string
	members   map[int64]member
	mrs       []*MergeRequest
	list      []*pipeline
	hooksMade []*Hook
	// tips are the refs as the last push left them.
	tips map[string]string
}

type member struct {
	level   int
	expires time.Time
}

// Member gives a user a role; a zero time never ends it.
func (p *Project) Member(u User, level int, expires time.Time) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.members[u.ID] = member{level, expires}
}

// URL is where the project's pages are.
func (p *Project) URL() string { return p.s.URL + "/" + p.Name }

func (u User) basic() object {
	return object{"id": u.ID, "username": u.Username, "name": u.Username, "state": u.State}
}

func (c *call) user() (any, *refusal) { return c.Bot.basic(), nil }

func (c *call) usersNamed() (any, *refusal) {
	all := []object{}
	for _, u := range append(c.users, c.Bot) {
		if strings.EqualFold(u.Username, c.r.URL.Query().Get("username")) {
			all = append(all, u.basic())
		}
	}
	return page(c, all, 100), nil
}

func (c *call) token() (any, *refusal) {
	if c.Token.OAuth {
		return nil, refuse(http.StatusUnauthorized, "401 Unauthorized")
	}
	scopes := c.Token.Scopes
	if len(scopes) == 0 {
		scopes = []string{"api"}
	}
	t := object{"id": 4, "name": "switchyard", "revoked": false, "active": true, "scopes": scopes, "user_id": c.Bot.ID, "expires_at": nil}
	if !c.Token.Expires.IsZero() {
		t["expires_at"] = c.Token.Expires.UTC().Format(time.DateOnly)
	}
	return t, nil
}

func (c *call) project() (any, *refusal) { return c.p.entity(), nil }

func (p *Project) entity() object {
	return object{
		"id": p.ID, "path_with_namespace": p.Name, "default_branch": p.DefaultBranch, "web_url": p.URL(), "http_url_to_repo": p.URL() + ".git",
		"only_allow_merge_if_pipeline_succeeds": p.MustSucceed,
		"permissions":                           object{"project_access": object{"access_level": p.Role, "notification_level": 3}, "group_access": nil},
	}
}

func (c *call) editProject() (any, *refusal) {
	c.p.MustSucceed = c.r.Form.Get("only_allow_merge_if_pipeline_succeeds") == "true"
	return c.p.entity(), nil
}

func (c *call) member() (any, *refusal) {
	id, _ := strconv.ParseInt(c.r.PathValue("user"), 10, 64)
	m, found := c.p.members[id]
	if !found {
		return nil, errNotFound
	}
	entity := object{"id": id, "access_level": m.level, "state": "active", "expires_at": nil}
	if !m.expires.IsZero() {
		entity["expires_at"] = m.expires.UTC().Format(time.DateOnly)
	}
	return entity, nil
}
