package gitlabtest

import (
	"net/http"
	"strings"
	"time"
)

// format has what the API tells of a commit, by NUL, with a record separator
// before it.
const format = "%x1e%H%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B"

// log lists the commits that git log does, newest first.
func (p *Project) log(args ...string) ([]object, error) {
	out, err := p.Try("", append([]string{"log", "--format=" + format}, append(args, "--")...)...)
	if err != nil {
		return nil, err
	}
	all := []object{}
	for _, record := range strings.Split(out, "\x1e")[1:] {
		f := strings.Split(record, "\x00")
		message := strings.TrimSuffix(f[8], "\n") // git ends each record with one
		title, _, _ := strings.Cut(message, "\n")
		all = append(all, object{
			"id": f[0], "short_id": f[0][:8], "parent_ids": strings.Fields(f[1]), "title": title, "message": message,
			"author_name": f[2], "author_email": f[3], "authored_date": f[4], "created_at": f[7],
			"committer_name": f[5], "committer_email": f[6], "committed_date": f[7],
			"web_url": p.URL() + "/-/commit/" + f[0],
		})
	}
	return all, nil
}

// one is the commit that a name stands for, nil for none.
func (p *Project) one(name string) object {
	if strings.HasPrefix(name, "-") {
		return nil
	}
	all, err := p.log("-1", name+"^{commit}")
	if err != nil || len(all) == 0 {
		return nil
	}
	return all[0]
}

func (c *call) branch() (any, *refusal) {
	name := c.r.PathValue("branch")
	found := c.p.one("refs/heads/" + name)
	if found == nil {
		return nil, refuse(http.StatusNotFound, "404 Branch Not Found")
	}
	return object{"name": name, "commit": found, "default": name == c.p.DefaultBranch, "protected": false}, nil
}

// commits lists none of a revision that is not there, as Gitaly's FindCommits
// does.
func (c *call) commits() (any, *refusal) {
	q := c.r.URL.Query()
	ref := q.Get("ref_name")
	if ref == "" {
		ref = c.p.DefaultBranch
	}
	if strings.HasPrefix(ref, "-") || strings.ContainsAny(ref, " :\x00") {
		return nil, refuse(http.StatusBadRequest, "ref_name is invalid")
	}
	args := []string{ref}
	if since := q.Get("since"); since != "" {
		if _, err := time.Parse(time.RFC3339, since); err != nil {
			return nil, refuse(http.StatusBadRequest, "since is invalid")
		}
		args = append(args, "--since="+since)
	}
	all, err := c.p.log(args...)
	if err != nil {
		all = []object{}
	}
	return page(c, all, 100), nil
}

func (c *call) commit() (any, *refusal) {
	found := c.p.one(c.r.PathValue("sha"))
	if found == nil {
		return nil, refuse(http.StatusNotFound, "404 Commit Not Found")
	}
	return found, nil
}

func (c *call) compare() (any, *refusal) {
	q := c.r.URL.Query()
	from, to := c.p.one(q.Get("from")), c.p.one(q.Get("to"))
	if from == nil || to == nil {
		return nil, refuse(http.StatusNotFound, "404 Ref Not Found")
	}
	a, b := from["id"].(string), to["id"].(string)
	base := a
	if q.Get("straight") != "true" {
		base = strings.TrimSpace(c.p.Git("merge-base", a, b))
	}
	newest, err := c.p.log(base + ".." + b)
	if err != nil {
		c.t.Errorf("compare: %v", err)
	}
	commits := []object{}
	for i := len(newest) - 1; i >= 0; i-- {
		commits = append(commits, newest[i])
	}
	limit := c.p.DiffFiles
	if limit == 0 {
		limit = 1000
	}
	diffs := []object{}
	fields := strings.Split(c.p.Git("diff", "--raw", "-z", "-M", "--no-abbrev", base, b), "\x00")
	cut := false
	for i := 0; i+1 < len(fields); i++ {
		meta := strings.Fields(fields[i])
		kind := meta[4]
		i++
		oldPath, newPath := fields[i], fields[i]
		if kind[0] == 'R' || kind[0] == 'C' {
			i++
			newPath = fields[i]
		}
		if len(diffs) == limit {
			cut = true
			break
		}
		diffs = append(diffs, object{
			"old_path": oldPath, "new_path": newPath, "a_mode": meta[0][1:], "b_mode": meta[1], "diff": "",
			"new_file": kind[0] == 'A', "deleted_file": kind[0] == 'D', "renamed_file": kind[0] == 'R',
		})
	}
	return object{"commit": to, "commits": commits, "diffs": diffs, "compare_timeout": cut, "compare_same_ref": a == b, "web_url": c.p.URL() + "/-/compare/" + a + "..." + b}, nil
}

func (c *call) tree() (any, *refusal) {
	q := c.r.URL.Query()
	if c.p.one(q.Get("ref")) == nil {
		return nil, refuse(http.StatusNotFound, "404 Tree Not Found")
	}
	args := []string{"ls-tree", "-z", q.Get("ref")}
	if q.Get("recursive") == "true" {
		args = []string{"ls-tree", "-z", "-r", "-t", q.Get("ref")}
	}
	all := []object{}
	for _, line := range strings.Split(strings.TrimSuffix(c.p.Git(args...), "\x00"), "\x00") {
		meta, path, found := strings.Cut(line, "\t")
		if !found {
			continue
		}
		f := strings.Fields(meta)
		all = append(all, object{"mode": f[0], "type": f[1], "id": f[2], "path": path, "name": path[strings.LastIndex(path, "/")+1:]})
	}
	return page(c, all, 100), nil
}
