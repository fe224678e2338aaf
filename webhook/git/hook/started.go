package hook

import "fmt"

// started says how many executions there are, and how many of them are new
// where those are not all.
func (r *reply) started() string {
	all := len(r.Executions)
	if r.New == nil || *r.New == all {
		return count(all, "execution", "executions")
	}
	return fmt.Sprintf("%s, %d already requested", count(*r.New, "new execution", "new executions"), all-*r.New)
}
