// Package codecommittest stands in for AWS CodeCommit in tests: its API over
// HTTP, and Git over HTTP, in front of bare repositories that are git's own.
//
// Signatures are verified, and each request and answer is checked against the
// model that AWS publishes of the service: a test fails on what CodeCommit
// would refuse, and on what it would not answer. Pull requests, comments and
// approvals are kept in memory.
package codecommittest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/time/rate"

	"switchyard/asl/api/sigv4"
	"switchyard/internal/awsmodel"
)

// As whom, and where, the stand-in may be called.
const (
	Region    = "eu-west-1"
	Account   = "123456789012"
	AccessKey = "AKIASWITCHYARDTEST"
	SecretKey = "only/for+tests"
	// Caller is who calls, in the words of the API.
	Caller = "arn:aws:sts::123456789012:assumed-role/switchyard/switchyard"
)

// Server is the stand-in. Its methods are safe for concurrent use.
type Server struct {
	*httptest.Server
	// PageSize bounds each page further than the API does; 0 does not. Set it
	// before the first call.
	PageSize int
	// RenamesAsOne makes GetDifferences tell a rename as one difference with
	// two paths, and not as a deletion and an addition.
	RenamesAsOne bool

	t        testing.TB
	model    *awsmodel.Model
	verifier *sigv4.Verifier

	mu    sync.Mutex
	repos map[string]*Repo
	calls []Call
	fault func(Call) error
	lost  func(Call) bool
	// bucket bounds the calls, if set.
	bucket *rate.Limiter
	pulls  []*pullRequest
	// comments are those on pull requests and on commits, in the order in which
	// they came.
	comments []*comment
}

// Call is one call of the API.
type Call struct {
	Operation string
	Body      string
}

// FaultError is an answer that is no success.
type FaultError struct {
	// Code is the error's name, such as AccessDeniedException.
	Code string
	// Status is 400 unless it is set. XML answers in the form in which
	// CodeCommit's front sends what it throttles, without looking at the request.
	Status int
	XML    bool
}

func (f *FaultError) Error() string { return f.Code }

// ErrThrottled is the answer to a call too many.
var ErrThrottled = &FaultError{Code: "ThrottlingException"}

// New starts a server without repositories.
func New(t testing.TB) *Server {
	t.Helper()
	v, err := sigv4.New(sigv4.Config{Service: "codecommit", Keys: []sigv4.Key{{ID: AccessKey, Secret: SecretKey}}})
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, model: awsmodel.ForTest(t, "codecommit"), verifier: v, repos: map[string]*Repo{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{$}", s.serve)
	mux.HandleFunc("/v1/repos/{name}/{rest...}", s.serveGit)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// Add makes a repository known under its name.
func (s *Server) Add(r *Repo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repos[r.Name] = r
}

// Intercept has each call looked at before it is served. An error that is a
// [*FaultError] becomes the answer, any other ends the connection without one. Nil
// ends that.
func (s *Server) Intercept(f func(Call) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Lose has each answer that is a success looked at before it is sent. Where f is
// true the connection ends instead: the call has done its work, and the caller
// does not know. Nil ends that.
func (s *Server) Lose(f func(Call) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = f
}

// Throttle bounds the calls per second, with some at once after a pause.
func (s *Server) Throttle(perSecond float64, burst int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bucket = rate.NewLimiter(rate.Limit(perSecond), burst)
}

// Calls returns the calls so far: of these operations, or all.
func (s *Server) Calls(operations ...string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Call
	for _, c := range s.calls {
		if len(operations) == 0 || slices.Contains(operations, c.Operation) {
			found = append(found, c)
		}
	}
	return found
}

// commonErrors are those that any operation may answer with; the model does not
// list them. From the API reference, "Common Errors".
var commonErrors = []string{
	"AccessDeniedException", "ExpiredTokenException", "IncompleteSignature", "InternalFailure", "InvalidSignatureException",
	"MissingAuthenticationTokenException", "NotAuthorized", "OptInRequired", "RequestExpired", "ServiceUnavailable",
	"ThrottlingException", "UnknownOperationException", "UnrecognizedClientException", "ValidationError", "ValidationException",
}

// operation serves one call: in is its request, the result its answer.
type operation func(s *Server, in object) (any, error)

type object = map[string]any

var operations = map[string]operation{
	"GetRepository": (*Server).getRepository, "ListBranches": (*Server).listBranches, "GetBranch": (*Server).getBranch,
	"GetCommit": (*Server).getCommit, "BatchGetCommits": (*Server).batchGetCommits, "GetDifferences": (*Server).getDifferences,
	"GetMergeCommit": (*Server).getMergeCommit,
	"GetPullRequest": (*Server).getPullRequest, "ListPullRequests": (*Server).listPullRequests,
	"PostCommentForPullRequest": (*Server).postCommentForPullRequest, "GetCommentsForPullRequest": (*Server).getCommentsForPullRequest,
	"PostCommentForComparedCommit": (*Server).postCommentForComparedCommit, "GetCommentsForComparedCommit": (*Server).getCommentsForComparedCommit,
	"UpdateComment": (*Server).updateComment, "UpdatePullRequestApprovalState": (*Server).updateApproval, "GetPullRequestApprovalStates": (*Server).getApprovals,
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client went away
	}
	prefix := "CodeCommit_20150413"
	if s.model != nil {
		prefix = s.model.Metadata.TargetPrefix
	}
	name, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), prefix+".")
	if !ok || r.Header.Get("Content-Type") != "application/x-amz-json-1.1" {
		s.t.Errorf("a call with X-Amz-Target %q and Content-Type %q", r.Header.Get("X-Amz-Target"), r.Header.Get("Content-Type"))
	}
	c := Call{name, string(body)}
	out, err := s.answer(r, c)
	var fault *FaultError
	switch {
	case errors.As(err, &fault):
		s.fail(w, name, fault)
		return
	case err != nil || s.loses(c):
		panic(http.ErrAbortHandler)
	}
	var text []byte
	if out != nil {
		if text, err = json.Marshal(out); err != nil {
			s.t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.model.Output(name, text); err != nil {
		s.t.Errorf("the stand-in answers what CodeCommit does not: %v", err)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if _, err := w.Write(text); err != nil && r.Context().Err() == nil {
		s.t.Logf("answer %s: %v", name, err)
	}
}

func (s *Server) loses(c Call) bool {
	s.mu.Lock()
	lost := s.lost
	s.mu.Unlock()
	return lost != nil && lost(c)
}

// answer serves a call, one at a time.
func (s *Server) answer(r *http.Request, c Call) (any, error) {
	s.mu.Lock()
	s.calls = append(s.calls, c)
	fault, bucket := s.fault, s.bucket
	s.mu.Unlock()
	if bucket != nil && !bucket.Allow() {
		return nil, ErrThrottled
	}
	if fault != nil {
		if err := fault(c); err != nil {
			return nil, err
		}
	}
	var refused *sigv4.Error
	if err := s.verifier.Verify(r, []byte(c.Body)); errors.As(err, &refused) {
		return nil, &FaultError{Code: refused.Code}
	}
	serve := operations[c.Operation]
	if serve == nil {
		s.t.Errorf("%s is called, which the stand-in does not have", c.Operation)
		return nil, &FaultError{Code: "UnknownOperationException"}
	}
	if err := s.model.Input(c.Operation, []byte(c.Body)); err != nil {
		s.t.Errorf("CodeCommit refuses this request: %v", err)
		return nil, &FaultError{Code: "ValidationException"}
	}
	var in object
	d := json.NewDecoder(bytes.NewReader([]byte(c.Body)))
	d.UseNumber()
	if err := d.Decode(&in); err != nil {
		s.t.Errorf("%s: %v", c.Operation, err)
		return nil, &FaultError{Code: "ValidationException"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return serve(s, in)
}

func (s *Server) fail(w http.ResponseWriter, name string, f *FaultError) {
	if f.Status == 0 {
		f = &FaultError{f.Code, http.StatusBadRequest, f.XML}
	}
	if s.model != nil && !slices.Contains(commonErrors, f.Code) && !s.model.May(name, f.Code) {
		s.t.Errorf("the stand-in fails %s with %s, which CodeCommit does not", name, f.Code)
	}
	if f.XML {
		w.WriteHeader(f.Status)
		fmt.Fprintf(w, "<%s>\n  <Message>Rate exceeded</Message>\n</%[1]s>\n", f.Code)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(f.Status)
	fmt.Fprintf(w, `{"__type":%q,"message":"made up by the test"}`, f.Code)
}

// repo is the repository that a request names under repositoryName.
func (s *Server) repo(in object) (*Repo, error) {
	if r := s.repos[str(in, "repositoryName")]; r != nil {
		return r, nil
	}
	return nil, &FaultError{Code: "RepositoryDoesNotExistException"}
}

func str(in object, key string) string {
	text, _ := in[key].(string)
	return text
}

// page cuts a list as a request asks for it; next is empty on the last page.
// usual and most are the sizes that the API documents.
func page[T any](s *Server, in object, sizeKey, tokenKey string, list []T, usual, most int) (cut []T, next string, err error) {
	size := usual
	if n, ok := in[sizeKey].(json.Number); ok {
		asked, err := strconv.Atoi(n.String())
		if err != nil || asked < 1 || asked > most {
			return nil, "", &FaultError{Code: "InvalidMaxResultsException"}
		}
		size = asked
	}
	if s.PageSize > 0 {
		size = min(size, s.PageSize)
	}
	from := 0
	if token := str(in, tokenKey); token != "" {
		text, err := base64.StdEncoding.DecodeString(token)
		if from, err = number(string(text), err); err != nil || from > len(list) {
			return nil, "", &FaultError{Code: "InvalidContinuationTokenException"}
		}
	}
	to := min(from+size, len(list))
	if to < len(list) {
		next = base64.StdEncoding.EncodeToString([]byte("at" + strconv.Itoa(to)))
	}
	return list[from:to], next, nil
}

func number(token string, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimPrefix(token, "at"))
}
