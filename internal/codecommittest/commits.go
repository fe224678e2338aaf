package codecommittest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var objectID = regexp.MustCompile(`^[0-9a-f]{40}$`)

// emptyTree is git's own name of it.
const emptyTree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

func (s *Server) getRepository(in object) (any, error) {
	r, err := s.repo(in)
	if err != nil {
		return nil, err
	}
	return object{"repositoryMetadata": object{
		"accountId": Account, "repositoryId": "f7579e13-b83e-4027-aaef-650c0EXAMPLE", "repositoryName": r.Name, "defaultBranch": r.DefaultBranch,
		"cloneUrlHttp": "https://git-codecommit." + Region + ".amazonaws.com/v1/repos/" + r.Name, "Arn": "arn:aws:codecommit:" + Region + ":" + Account + ":" + r.Name,
	}}, nil
}

func (s *Server) listBranches(in object) (any, error) {
	r, err := s.repo(in)
	if err != nil {
		return nil, err
	}
	names := strings.Fields(r.Git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads"))
	cut, next, err := page(s, in, "maxResults", "nextToken", names, 1000, 1000)
	if err != nil {
		return nil, err
	}
	return withToken(object{"branches": cut}, "nextToken", next), nil
}

func withToken(out object, key, next string) object {
	if next != "" {
		out[key] = next
	}
	return out
}

func (s *Server) getBranch(in object) (any, error) {
	r, err := s.repo(in)
	if err != nil {
		return nil, err
	}
	tip, err := r.Tip(str(in, "branchName"))
	if err != nil {
		return nil, &FaultError{Code: "BranchDoesNotExistException"}
	}
	return object{"branch": object{"branchName": str(in, "branchName"), "commitId": tip}}, nil
}

func (s *Server) getCommit(in object) (any, error) {
	r, err := s.repo(in)
	if err != nil {
		return nil, err
	}
	id := str(in, "commitId")
	if !objectID.MatchString(id) {
		return nil, &FaultError{Code: "InvalidCommitIdException"}
	}
	found := r.commits([]string{id})
	if found[id] == nil {
		return nil, &FaultError{Code: "CommitIdDoesNotExistException"}
	}
	return object{"commit": found[id]}, nil
}

// maxBatch is the most that BatchGetCommits takes, by its reference.
const maxBatch = 100

func (s *Server) batchGetCommits(in object) (any, error) {
	r, err := s.repo(in)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, id := range in["commitIds"].([]any) {
		ids = append(ids, id.(string))
	}
	switch {
	case len(ids) == 0:
		return nil, &FaultError{Code: "CommitIdsListRequiredException"}
	case len(ids) > maxBatch:
		return nil, &FaultError{Code: "CommitIdsLimitExceededException"}
	}
	found := r.commits(ids)
	commits, missing := []object{}, []object{}
	slices.Sort(ids) // no particular order is promised
	for _, id := range ids {
		if found[id] != nil {
			commits = append(commits, found[id])
		} else {
			missing = append(missing, object{"commitId": id, "errorCode": "CommitIdDoesNotExistException", "errorMessage": "Could not find the commit"})
		}
	}
	return object{"commits": commits, "errors": missing}, nil
}

// commits reads commits as git has them.
func (r *Repo) commits(ids []string) map[string]object {
	var ask strings.Builder
	for _, id := range ids {
		if objectID.MatchString(id) {
			ask.WriteString(id + "\n")
		}
	}
	rest := r.Feed(ask.String(), "cat-file", "--batch")
	found := map[string]object{}
	for rest != "" {
		head, after, _ := strings.Cut(rest, "\n")
		f := strings.Fields(head)
		if len(f) < 3 {
			rest = after // "<id> missing"
			continue
		}
		size, err := strconv.Atoi(f[2])
		if err != nil {
			r.t.Fatalf("git cat-file: %q", head)
		}
		if f[1] == "commit" {
			found[f[0]] = commit(f[0], after[:size])
		}
		rest = after[size+1:]
	}
	return found
}

// commit reads a commit's text.
func commit(id, text string) object {
	c := object{"commitId": id, "parents": []string{}, "additionalData": ""}
	headers, message, _ := strings.Cut(text, "\n\n")
	c["message"] = message
	for line := range strings.SplitSeq(headers, "\n") {
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "tree":
			c["treeId"] = value
		case "parent":
			c["parents"] = append(c["parents"].([]string), value)
		case "author", "committer":
			name, rest, _ := strings.Cut(value, " <")
			email, date, _ := strings.Cut(rest, "> ")
			c[key] = object{"name": name, "email": email, "date": date}
		}
	}
	return c
}

// resolve is the commit that a specifier means: an ID, or the name of a branch.
func (r *Repo) resolve(specifier string) (string, error) {
	if tip, err := r.Tip(strings.TrimPrefix(specifier, "refs/heads/")); err == nil {
		return tip, nil
	}
	if objectID.MatchString(specifier) && r.commits([]string{specifier})[specifier] != nil {
		return specifier, nil
	}
	return "", &FaultError{Code: "CommitDoesNotExistException"}
}

func (s *Server) getMergeCommit(in object) (any, error) {
	r, err := s.repo(in)
	if err != nil {
		return nil, err
	}
	source, err := r.resolve(str(in, "sourceCommitSpecifier"))
	if err != nil {
		return nil, err
	}
	destination, err := r.resolve(str(in, "destinationCommitSpecifier"))
	if err != nil {
		return nil, err
	}
	out := object{"sourceCommitId": source, "destinationCommitId": destination}
	if base, err := r.Try("", "merge-base", source, destination); err == nil {
		out["baseCommitId"] = strings.TrimSpace(base)
	}
	return out, nil
}

// getDifferences tells what git diff-tree does. Without a commit before it
// tells of all files.
func (s *Server) getDifferences(in object) (any, error) {
	r, err := s.repo(in)
	if err != nil {
		return nil, err
	}
	after, err := r.resolve(str(in, "afterCommitSpecifier"))
	if err != nil {
		return nil, err
	}
	before := emptyTree
	if spec := str(in, "beforeCommitSpecifier"); spec != "" {
		if before, err = r.resolve(spec); err != nil {
			return nil, err
		}
	}
	renames := "--no-renames"
	if s.RenamesAsOne {
		renames = "--find-renames"
	}
	var all []object
	fields := strings.Split(strings.TrimSuffix(r.Git("diff-tree", "-r", "-z", renames, before, after), "\x00"), "\x00")
	for len(fields) > 1 {
		meta := strings.Fields(strings.TrimPrefix(fields[0], ":")) // modes, blobs, kind
		from, to := fields[1], fields[1]
		fields = fields[2:]
		if meta[4][0] == 'R' {
			to, fields = fields[0], fields[1:]
		}
		d := object{"changeType": map[byte]string{'A': "A", 'D': "D"}[meta[4][0]]}
		if d["changeType"] == "" {
			d["changeType"] = "M"
		}
		if d["changeType"] != "A" {
			d["beforeBlob"] = object{"blobId": meta[2], "path": from, "mode": meta[0]}
		}
		if d["changeType"] != "D" {
			d["afterBlob"] = object{"blobId": meta[3], "path": to, "mode": meta[1]}
		}
		all = append(all, d)
	}
	// The members of this operation are written with a capital, by the model.
	cut, next, err := page(s, in, "MaxResults", "NextToken", all, 100, 1000)
	if err != nil {
		return nil, err
	}
	if cut == nil {
		cut = []object{}
	}
	return withToken(object{"differences": cut}, "NextToken", next), nil
}

// epoch is a time as the API writes it.
func epoch(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func pullRequestID(n int) string { return fmt.Sprint(n) }
