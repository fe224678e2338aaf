package githubtest

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

var objectID = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

// resolve is the commit that a ref of a path means: an ID, a branch or a tag.
func (r *Repo) resolve(ref string) (string, error) {
	if !r.known[ref] && len(ref) == 40 && objectID.MatchString(ref) {
		for sha := range strings.FieldsSeq(r.Git("rev-list", "--all")) {
			r.known[sha] = true
		}
	}
	if r.known[ref] {
		return ref, nil
	}
	for _, spec := range []string{"refs/heads/" + strings.TrimPrefix(ref, "refs/heads/"), "refs/tags/" + strings.TrimPrefix(ref, "refs/tags/"), ref} {
		if spec == ref && !objectID.MatchString(ref) {
			break
		}
		if sha, err := r.Try("", "rev-parse", "--verify", "--quiet", spec+"^{commit}"); err == nil {
			sha = strings.TrimSpace(sha)
			r.known[sha] = true
			return sha, nil
		}
	}
	return "", &FaultError{Status: http.StatusUnprocessableEntity, Message: "No commit found for SHA: " + ref}
}

// logFormat has a commit's fields apart by NUL, in the order of describe. Its
// records end by a byte that no field has.
const logFormat = "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B%x01"

// describe reads what git log writes in logFormat.
func (r *Repo) describe(log string) []object {
	var all []object
	for record := range strings.SplitSeq(strings.TrimSpace(log), "\x01") {
		f := strings.Split(strings.TrimPrefix(record, "\n"), "\x00")
		if len(f) != 10 {
			continue
		}
		sha, parents := f[0], []object{}
		for p := range strings.FieldsSeq(f[2]) {
			parents = append(parents, object{"sha": p, "url": r.url() + "/commits/" + p, "html_url": r.html() + "/commit/" + p})
		}
		all = append(all, object{
			"sha": sha, "node_id": "x", "url": r.url() + "/commits/" + sha, "html_url": r.html() + "/commit/" + sha, "comments_url": r.url() + "/commits/" + sha + "/comments",
			"author": r.account(f[4]), "committer": r.account(f[7]), "parents": parents,
			"commit": object{
				"url": r.url() + "/git/commits/" + sha, "message": strings.TrimRight(f[9], "\n"), "comment_count": 0, "tree": object{"sha": f[1], "url": r.url() + "/git/trees/" + f[1]},
				"author": object{"name": f[3], "email": f[4], "date": f[5]}, "committer": object{"name": f[6], "email": f[7], "date": f[8]},
			},
		})
	}
	return all
}

// account is whom an email belongs to, nil for nobody.
func (r *Repo) account(email string) any {
	if login := r.logins[email]; login != "" {
		return r.s.user(login)
	}
	return nil
}

// span lists commits by rev-list's arguments, which are IDs and flags, newest
// first. What it is does not change.
func (r *Repo) span(args ...string) []string {
	key := strings.Join(args, " ")
	if r.spans[key] == nil {
		r.spans[key] = strings.Fields(r.Git(append([]string{"rev-list", "--topo-order"}, args...)...))
	}
	return slices.Clone(r.spans[key])
}

func (s *Server) listCommits(q *call) (any, error) {
	ref := q.r.URL.Query().Get("sha")
	if ref == "" {
		ref = q.repo.defaultBranch
	}
	if out := q.repo.Git("for-each-ref", "--count=1"); out == "" {
		return nil, &FaultError{Status: http.StatusConflict, Message: "Git Repository is empty."}
	}
	head, err := q.repo.resolve(ref)
	if err != nil {
		return nil, errNotFound
	}
	args := []string{head}
	if since := q.r.URL.Query().Get("since"); since != "" {
		args = append(args, "--since="+since)
	}
	ids := page(s, q, q.repo.span(args...), 30, 100)
	return q.repo.commits(ids), nil
}

// commits describes commits in this order.
func (r *Repo) commits(ids []string) []object {
	if len(ids) == 0 {
		return []object{}
	}
	return r.describe(r.Feed(strings.Join(ids, "\n"), "log", "--no-walk=unsorted", "--stdin", logFormat))
}

// maxFiles is how many files of a commit are listed at most, and filesPage how
// many of them at once, by "Get a commit".
const (
	maxFiles  = 3000
	filesPage = 300
)

func (s *Server) getCommit(q *call) (any, error) {
	sha, err := q.repo.resolve(q.r.PathValue("ref"))
	if err != nil {
		return nil, err
	}
	c := q.repo.commits([]string{sha})[0]
	files := q.repo.files(sha)
	c["stats"] = object{"total": len(files), "additions": len(files), "deletions": 0}
	c["files"] = page(s, q, files[:min(len(files), maxFiles)], filesPage, filesPage)
	return c, nil
}

// files are what a commit changed against its first parent, as git has it.
func (r *Repo) files(sha string) []object {
	fields := strings.Split(strings.TrimSuffix(r.Git("diff-tree", "-r", "-z", "--root", "-m", "--first-parent", "--no-commit-id", "--find-renames", sha), "\x00"), "\x00")
	all := []object{}
	for len(fields) > 1 {
		meta := strings.Fields(strings.TrimPrefix(fields[0], ":")) // modes, blobs, kind
		file := object{"status": "modified", "filename": fields[1], "sha": meta[3], "additions": 1, "deletions": 0, "changes": 1}
		fields = fields[2:]
		switch meta[4][0] {
		case 'A':
			file["status"] = "added"
		case 'D':
			file["status"] = "removed"
		case 'R':
			file["status"], file["previous_filename"], file["filename"] = "renamed", file["filename"], fields[0]
			fields = fields[1:]
		}
		at := r.html() + "/blob/" + sha
		file["blob_url"], file["raw_url"], file["contents_url"] = at, at, r.url()+"/contents"
		all = append(all, file)
	}
	return all
}

// compare serves base...head, commits oldest first and paged.
func (s *Server) compare(q *call) (any, error) {
	base, head, ok := strings.Cut(q.r.PathValue("basehead"), "...")
	if !ok {
		return nil, errNotFound
	}
	r := q.repo
	var err error
	if base, err = r.resolve(base); err != nil {
		return nil, errNotFound
	}
	if head, err = r.resolve(head); err != nil {
		return nil, errNotFound
	}
	merge, err := r.Try("", "merge-base", base, head)
	if err != nil {
		return nil, &FaultError{Status: http.StatusNotFound, Message: "No common ancestor between " + base + " and " + head + "."}
	}
	ahead := r.span(head, "^"+base)
	listed := slices.Clone(ahead)
	if !s.NewestFirst {
		slices.Reverse(listed)
		listed = page(s, q, listed, 30, 100)
		if q.r.URL.Query().Get("page") == "" && q.r.URL.Query().Get("per_page") == "" {
			// Without paging, the first 250.
			q.header.Del("Link")
			listed = slices.Clone(ahead)
			slices.Reverse(listed)
			listed = listed[:min(len(listed), 250)]
		}
	}
	behind := len(r.span(base, "^"+head))
	status := "identical"
	switch {
	case len(ahead) > 0 && behind > 0:
		status = "diverged"
	case len(ahead) > 0:
		status = "ahead"
	case behind > 0:
		status = "behind"
	}
	url := r.html() + "/compare/" + base + "..." + head
	return object{
		"url": r.url() + "/compare/" + base + "..." + head, "html_url": url, "permalink_url": url, "diff_url": url + ".diff", "patch_url": url + ".patch",
		"base_commit": r.commits([]string{base})[0], "merge_base_commit": r.commits([]string{strings.TrimSpace(merge)})[0],
		"status": status, "ahead_by": len(ahead), "behind_by": behind, "total_commits": len(ahead), "commits": r.commits(listed), "files": []object{},
	}, nil
}

func (s *Server) listBranches(q *call) (any, error) {
	all := []object{}
	for line := range strings.Lines(q.repo.Git("for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", "refs/heads")) {
		f := strings.Fields(line)
		all = append(all, object{"name": f[0], "commit": object{"sha": f[1], "url": q.repo.url() + "/commits/" + f[1]}, "protected": q.repo.protected[f[0]] != nil})
	}
	return page(s, q, all, 30, 100), nil
}

func (s *Server) getBranch(q *call) (any, error) {
	name := q.r.PathValue("branch")
	tip, err := q.repo.Tip(name)
	if err != nil {
		return nil, &FaultError{Status: http.StatusNotFound, Message: "Branch not found"}
	}
	url := q.repo.url() + "/branches/" + name
	p := q.repo.protected[name]
	shown := object{"enabled": p != nil, "required_status_checks": object{"enforcement_level": "off", "contexts": []string{}, "checks": []object{}}}
	if p != nil && p.checks {
		shown["required_status_checks"] = object{"enforcement_level": "non_admins", "contexts": p.contexts(), "checks": p.list()}
	}
	return object{
		"name": name, "commit": q.repo.commits([]string{tip})[0], "_links": object{"html": q.repo.html() + "/tree/" + name, "self": url},
		"protected": p != nil, "protection": shown, "protection_url": url + "/protection",
	}, nil
}
