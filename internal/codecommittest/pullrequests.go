package codecommittest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// pullRequest is what is kept of one; its commits are those of its branches.
type pullRequest struct {
	id, author          string
	repo                *Repo
	source, destination string
	created             time.Time
	closed              bool
	// approvals are the states by revision and caller.
	approvals map[string]map[string]string
}

// comment is on a pull request, or on a commit where pull is nil.
type comment struct {
	id, content, author, token string
	pull                       *pullRequest
	repo                       *Repo
	before, after              string
	created, changed           time.Time
	deleted                    bool
}

// maxComment is how many characters a comment has at most, by the quotas.
const maxComment = 10240

// OpenPullRequest opens one from a branch into another, by somebody else than
// [Caller], and returns its ID.
func (s *Server) OpenPullRequest(r *Repo, source, destination string) string {
	return s.OpenPullRequestBy("arn:aws:iam::"+Account+":user/ada", r, source, destination)
}

// OpenPullRequestBy is [Server.OpenPullRequest] with an author.
func (s *Server) OpenPullRequestBy(author string, r *Repo, source, destination string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &pullRequest{id: pullRequestID(len(s.pulls) + 1), author: author, repo: r, source: source, destination: destination, created: time.Now(), approvals: map[string]map[string]string{}}
	s.pulls = append(s.pulls, p)
	return p.id
}

// ClosePullRequest closes one.
func (s *Server) ClosePullRequest(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pulls {
		p.closed = p.closed || p.id == id
	}
}

// Comments are the texts of the comments on a pull request, in their order.
func (s *Server) Comments(pullRequest string) []string {
	return s.texts(func(c *comment) bool { return c.pull != nil && c.pull.id == pullRequest })
}

// CommitComments are the texts of the comments on a commit.
func (s *Server) CommitComments(sha string) []string {
	return s.texts(func(c *comment) bool { return c.pull == nil && c.after == sha })
}

func (s *Server) texts(of func(*comment) bool) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var texts []string
	for _, c := range s.comments {
		if of(c) && !c.deleted {
			texts = append(texts, c.content)
		}
	}
	return texts
}

// CommentAs adds a comment of somebody else.
func (s *Server) CommentAs(author, pullRequest, content string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.pull(object{"pullRequestId": pullRequest})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.comment(&comment{content: content, author: author, pull: p, repo: p.repo, before: s.tip(p, p.destination), after: s.tip(p, p.source)}); err != nil {
		s.t.Fatal(err)
	}
}

// DeleteComments deletes all comments on a pull request.
func (s *Server) DeleteComments(pullRequest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.comments {
		if c.pull != nil && c.pull.id == pullRequest {
			c.deleted, c.content = true, ""
		}
	}
}

// Approval is what [Caller] says of a pull request's newest revision: APPROVE,
// REVOKE or nothing.
func (s *Server) Approval(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.pull(object{"pullRequestId": id})
	if err != nil {
		s.t.Fatal(err)
	}
	return p.approvals[s.revision(p)][Caller]
}

func (s *Server) tip(p *pullRequest, branch string) string {
	tip, err := p.repo.Tip(branch)
	if err != nil {
		s.t.Errorf("pull request %s: branch %s: %v", p.id, branch, err)
	}
	return tip
}

// revision names the state of the source branch.
func (s *Server) revision(p *pullRequest) string {
	sum := sha256.Sum256([]byte(p.id + s.tip(p, p.source)))
	return hex.EncodeToString(sum[:])
}

func (s *Server) pull(in object) (*pullRequest, error) {
	id := str(in, "pullRequestId")
	if _, err := strconv.Atoi(id); err != nil {
		return nil, &FaultError{Code: "InvalidPullRequestIdException"}
	}
	for _, p := range s.pulls {
		if p.id == id {
			return p, nil
		}
	}
	return nil, &FaultError{Code: "PullRequestDoesNotExistException"}
}

func (s *Server) getPullRequest(in object) (any, error) {
	p, err := s.pull(in)
	if err != nil {
		return nil, err
	}
	status := "OPEN"
	if p.closed {
		status = "CLOSED"
	}
	source, destination := s.tip(p, p.source), s.tip(p, p.destination)
	return object{"pullRequest": object{
		"pullRequestId": p.id, "title": "From " + p.source, "authorArn": p.author, "pullRequestStatus": status, "revisionId": s.revision(p),
		"creationDate": epoch(p.created), "lastActivityDate": epoch(p.created), "approvalRules": []object{},
		"pullRequestTargets": []object{{
			"repositoryName": p.repo.Name, "sourceReference": "refs/heads/" + p.source, "destinationReference": "refs/heads/" + p.destination,
			"sourceCommit": source, "destinationCommit": destination, "mergeMetadata": object{"isMerged": false},
		}},
	}}, nil
}

func (s *Server) listPullRequests(in object) (any, error) {
	r, err := s.repo(in)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, p := range s.pulls {
		if status := str(in, "pullRequestStatus"); p.repo == r && (status == "" || (status == "CLOSED") == p.closed) {
			ids = append(ids, p.id)
		}
	}
	cut, next, err := page(s, in, "maxResults", "nextToken", ids, 100, 100)
	if err != nil {
		return nil, err
	}
	if cut == nil {
		cut = []string{}
	}
	return withToken(object{"pullRequestIds": cut}, "nextToken", next), nil
}

// comment adds a comment, unless its token has been used.
func (s *Server) comment(c *comment) (*comment, error) {
	if utf8.RuneCountInString(c.content) > maxComment {
		return nil, &FaultError{Code: "CommentContentSizeLimitExceededException"}
	}
	for _, known := range s.comments {
		if c.token == "" || known.token != c.token {
			continue
		}
		if known.pull != c.pull || known.after != c.after || known.before != c.before || known.content != c.content && known.created.Equal(known.changed) {
			return nil, &FaultError{Code: "IdempotencyParameterMismatchException"}
		}
		return known, nil
	}
	c.id = fmt.Sprintf("ff30b348EXAMPLEb9aa670f-%d", len(s.comments)+1)
	c.created = time.Now()
	c.changed = c.created
	s.comments = append(s.comments, c)
	return c, nil
}

func (c *comment) describe() object {
	return object{
		"commentId": c.id, "content": c.content, "authorArn": c.author, "deleted": c.deleted, "clientRequestToken": c.token,
		"creationDate": epoch(c.created), "lastModifiedDate": epoch(c.changed), "inReplyTo": "",
	}
}

func (s *Server) postCommentForPullRequest(in object) (any, error) {
	p, err := s.pull(in)
	if err != nil {
		return nil, err
	}
	r, err := s.repo(in)
	if err != nil {
		return nil, err
	}
	if p.repo != r {
		return nil, &FaultError{Code: "RepositoryNotAssociatedWithPullRequestException"}
	}
	c, err := s.onCommits(in, &comment{pull: p, repo: r})
	if err != nil {
		return nil, err
	}
	return object{"repositoryName": r.Name, "pullRequestId": p.id, "beforeCommitId": c.before, "afterCommitId": c.after, "comment": c.describe()}, nil
}

func (s *Server) postCommentForComparedCommit(in object) (any, error) {
	r, err := s.repo(in)
	if err != nil {
		return nil, err
	}
	after := str(in, "afterCommitId")
	if found := r.commits([]string{after})[after]; found != nil && str(in, "beforeCommitId") == "" && len(found["parents"].([]string)) > 0 {
		return nil, &FaultError{Code: "CommitIdRequiredException"} // of all but the first commit
	}
	c, err := s.onCommits(in, &comment{repo: r})
	if err != nil {
		return nil, err
	}
	out := object{"repositoryName": r.Name, "afterCommitId": c.after, "comment": c.describe()}
	if c.before != "" {
		out["beforeCommitId"] = c.before
	}
	return out, nil
}

// onCommits adds a comment between the two commits that a request names.
func (s *Server) onCommits(in object, c *comment) (*comment, error) {
	c.before, c.after = str(in, "beforeCommitId"), str(in, "afterCommitId")
	for _, id := range []string{c.before, c.after} {
		if id == "" {
			continue
		}
		if !objectID.MatchString(id) {
			return nil, &FaultError{Code: "InvalidCommitIdException"}
		}
		if c.repo.commits([]string{id})[id] == nil {
			return nil, &FaultError{Code: "CommitDoesNotExistException"}
		}
	}
	switch {
	case c.before == c.after:
		return nil, &FaultError{Code: "BeforeCommitIdAndAfterCommitIdAreSameException"}
	case str(in, "content") == "":
		return nil, &FaultError{Code: "CommentContentRequiredException"}
	case str(in, "clientRequestToken") == "":
		return nil, &FaultError{Code: "ClientRequestTokenRequiredException"}
	}
	c.content, c.token, c.author = str(in, "content"), str(in, "clientRequestToken"), Caller
	return s.comment(c)
}

func (s *Server) getCommentsForPullRequest(in object) (any, error) {
	p, err := s.pull(in)
	if err != nil {
		return nil, err
	}
	var all []object
	for _, c := range s.comments {
		if c.pull == p {
			all = append(all, object{"pullRequestId": p.id, "repositoryName": p.repo.Name, "beforeCommitId": c.before, "afterCommitId": c.after, "comments": []object{c.describe()}})
		}
	}
	return s.listComments(in, "commentsForPullRequestData", all)
}

func (s *Server) getCommentsForComparedCommit(in object) (any, error) {
	r, err := s.repo(in)
	if err != nil {
		return nil, err
	}
	var all []object
	for _, c := range s.comments {
		if c.pull == nil && c.repo == r && c.after == str(in, "afterCommitId") && c.before == str(in, "beforeCommitId") {
			all = append(all, object{"repositoryName": r.Name, "afterCommitId": c.after, "comments": []object{c.describe()}})
		}
	}
	return s.listComments(in, "commentsForComparedCommitData", all)
}

func (s *Server) listComments(in object, key string, all []object) (any, error) {
	cut, next, err := page(s, in, "maxResults", "nextToken", all, 100, 500)
	if err != nil {
		return nil, err
	}
	if cut == nil {
		cut = []object{}
	}
	return withToken(object{key: cut}, "nextToken", next), nil
}

func (s *Server) updateComment(in object) (any, error) {
	content := str(in, "content")
	for _, c := range s.comments {
		if c.id != str(in, "commentId") {
			continue
		}
		switch {
		case c.deleted:
			return nil, &FaultError{Code: "CommentDeletedException"}
		case c.author != Caller:
			return nil, &FaultError{Code: "CommentNotCreatedByCallerException"}
		case content == "":
			return nil, &FaultError{Code: "CommentContentRequiredException"}
		case utf8.RuneCountInString(content) > maxComment:
			return nil, &FaultError{Code: "CommentContentSizeLimitExceededException"}
		}
		c.content, c.changed = content, time.Now()
		return object{"comment": c.describe()}, nil
	}
	return nil, &FaultError{Code: "CommentDoesNotExistException"}
}

func (s *Server) updateApproval(in object) (any, error) {
	p, err := s.pull(in)
	if err != nil {
		return nil, err
	}
	switch {
	case p.closed:
		return nil, &FaultError{Code: "PullRequestAlreadyClosedException"}
	case p.author == Caller:
		return nil, &FaultError{Code: "PullRequestCannotBeApprovedByAuthorException"}
	case str(in, "revisionId") != s.revision(p):
		return nil, &FaultError{Code: "RevisionNotCurrentException"}
	}
	states := p.approvals[s.revision(p)]
	if states == nil {
		states = map[string]string{}
		p.approvals[s.revision(p)] = states
	}
	states[Caller] = str(in, "approvalState")
	return nil, nil
}

func (s *Server) getApprovals(in object) (any, error) {
	p, err := s.pull(in)
	if err != nil {
		return nil, err
	}
	states := p.approvals[str(in, "revisionId")]
	approvals := []object{}
	for _, arn := range slices.Sorted(maps.Keys(states)) {
		approvals = append(approvals, object{"userArn": arn, "approvalState": states[arn]})
	}
	return object{"approvals": approvals}, nil
}
