package githubtest

import (
	"encoding/json"
	"net/http"
	"slices"
)

// protection is that of one branch, as "Branch protection" has it; only what is
// required of statuses is kept.
type protection struct {
	checks bool // statuses are required
	strict bool
	apps   map[string]any // by context, the App that must tell it or nil
}

func (p *protection) contexts() []string { return keys(p.apps) }

func (p *protection) list() []object {
	all := []object{}
	for _, c := range p.contexts() {
		all = append(all, object{"context": c, "app_id": p.apps[c]})
	}
	return all
}

// Protect protects a branch, which requires these contexts, strictly: the branch
// must be up to date. Without any, statuses are not required.
func (r *Repo) Protect(branch string, contexts ...string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	p := &protection{checks: len(contexts) > 0, strict: true, apps: map[string]any{}}
	for _, c := range contexts {
		p.apps[c] = nil
	}
	r.protected[branch] = p
}

// RequireByRuleset has a ruleset require contexts of a branch.
func (r *Repo) RequireByRuleset(branch string, contexts ...string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.rules[branch] = contexts
}

// required is what a call is about: a branch that requires statuses.
func (q *call) required() (*protection, error) {
	p := q.repo.protected[q.r.PathValue("branch")]
	if _, err := q.repo.Tip(q.r.PathValue("branch")); err != nil {
		return nil, &FaultError{Status: http.StatusNotFound, Message: "Branch not found"}
	}
	if p == nil {
		return nil, &FaultError{Status: http.StatusNotFound, Message: "Branch not protected"}
	}
	if !p.checks {
		return nil, &FaultError{Status: http.StatusNotFound, Message: "Required status checks not enabled"}
	}
	return p, nil
}

func (q *call) policy(p *protection) object {
	url := q.repo.url() + "/branches/" + q.r.PathValue("branch") + "/protection/required_status_checks"
	return object{"url": url, "strict": p.strict, "contexts": p.contexts(), "checks": p.list(), "contexts_url": url + "/contexts"}
}

func (s *Server) getRequired(q *call) (any, error) {
	p, err := q.required()
	if err != nil {
		return nil, err
	}
	return q.policy(p), nil
}

// updateRequired changes what the body names. It also turns the requirement on
// where the branch is protected without it.
func (s *Server) updateRequired(q *call) (any, error) {
	p := q.repo.protected[q.r.PathValue("branch")]
	if p == nil {
		return nil, &FaultError{Status: http.StatusNotFound, Message: "Branch not protected"}
	}
	p.checks = true
	if strict, ok := q.body["strict"].(bool); ok {
		p.strict = strict
	}
	list, ok := q.body["checks"].([]any)
	if contexts, has := q.body["contexts"].([]any); has && !ok {
		list, ok = contexts, true
	}
	if ok {
		p.apps = map[string]any{}
		for _, c := range list {
			switch c := c.(type) {
			case string:
				p.apps[c] = nil
			case object:
				p.apps[text(c, "context")] = nil
				if id, ok := c["app_id"].(json.Number); ok && id != "-1" {
					p.apps[text(c, "context")] = id
				}
			}
		}
	}
	return q.policy(p), nil
}

func (s *Server) addContexts(q *call) (any, error) {
	p, err := q.required()
	if err != nil {
		return nil, err
	}
	list, ok := q.body["contexts"].([]any)
	if !ok {
		return nil, invalid("contexts is missing")
	}
	for _, c := range list {
		if _, there := p.apps[c.(string)]; !there {
			p.apps[c.(string)] = nil
		}
	}
	return p.contexts(), nil
}

func (s *Server) getRules(q *call) (any, error) {
	contexts := q.repo.rules[q.r.PathValue("branch")]
	if len(contexts) == 0 {
		return []object{}, nil
	}
	required := []object{}
	for _, c := range slices.Sorted(slices.Values(contexts)) {
		required = append(required, object{"context": c})
	}
	return page(s, q, []object{{
		"type": "required_status_checks", "ruleset_source_type": "Repository", "ruleset_source": q.repo.FullName(), "ruleset_id": 1,
		"parameters": object{"strict_required_status_checks_policy": false, "required_status_checks": required},
	}}, 30, 100), nil
}
