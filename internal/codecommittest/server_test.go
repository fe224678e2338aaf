package codecommittest_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codecommit/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"switchyard/internal/codecommittest"
)

// recorder takes what the stand-in finds wrong.
type recorder struct {
	testing.TB
	wrong []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
}

func start(t *testing.T) (*codecommittest.Server, *codecommittest.Repo, *recorder) {
	t.Helper()
	r := &recorder{TB: t}
	s := codecommittest.New(r)
	repo := codecommittest.NewRepo(t, "api")
	s.Add(repo)
	return s, repo, r
}

// post sends a signed request with any body.
func post(t *testing.T, s *codecommittest.Server, operation, body, secret string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "CodeCommit_20150413."+operation)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	if secret != "" {
		sum := sha(body)
		keys := aws.Credentials{AccessKeyID: codecommittest.AccessKey, SecretAccessKey: secret}
		if err := v4.NewSigner().SignHTTP(t.Context(), keys, r, sum, "codecommit", codecommittest.Region, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestServerFailsTheTestOnWhatCodeCommitRefuses(t *testing.T) {
	for name, row := range map[string]struct{ operation, body, wrong string }{
		"misspelt member":   {"BatchGetCommits", `{"repositoryName":"api","commitIDs":["x"]}`, "there is no member commitIDs"},
		"wrong type":        {"BatchGetCommits", `{"repositoryName":"api","commitIds":"x"}`, "expected a list"},
		"too long":          {"GetBranch", `{"repositoryName":"api","branchName":"` + strings.Repeat("b", 257) + `"}`, "257 characters, more than 256"},
		"missing":           {"GetDifferences", `{"repositoryName":"api"}`, "afterCommitSpecifier is missing"},
		"pattern":           {"GetRepository", `{"repositoryName":"acme/api"}`, "does not match"},
		"not of the enum":   {"ListPullRequests", `{"repositoryName":"api","pullRequestStatus":"open"}`, "not one of"},
		"unknown operation": {"ListCommits", `{}`, "ListCommits is called"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, found := start(t)
			status, _ := post(t, s, row.operation, row.body, codecommittest.SecretKey)
			if status != http.StatusBadRequest || len(found.wrong) != 1 || !strings.Contains(found.wrong[0], row.wrong) {
				t.Errorf("status %d, complaints %q, want one with %q", status, found.wrong, row.wrong)
			}
		})
	}
}

func TestServerVerifiesSignatures(t *testing.T) {
	s, _, _ := start(t)
	for secret, want := range map[string]string{"": "MissingAuthenticationTokenException", "another": "InvalidSignatureException"} {
		if status, text := post(t, s, "GetRepository", `{"repositoryName":"api"}`, secret); status != 400 || !strings.Contains(text, want) {
			t.Errorf("secret %q: %d %s", secret, status, text)
		}
	}
	if status, text := post(t, s, "GetRepository", `{"repositoryName":"api"}`, codecommittest.SecretKey); status != 200 {
		t.Errorf("signed well: %d %s", status, text)
	}
}

func TestServerTellsOfTheRepository(t *testing.T) {
	s, repo, found := start(t)
	api := s.Client()
	ctx := t.Context()
	first := repo.Commit("main", "First\n\nbody\n", map[string]string{"a": "1"})
	second := repo.Commit("main", "Second", map[string]string{"b/c": "2", "a": ""})
	missing := strings.Repeat("0", 39) + "1"

	got, err := api.BatchGetCommits(ctx, &codecommit.BatchGetCommitsInput{RepositoryName: aws.String("api"), CommitIds: []string{second, missing, first}})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Commits) != 2 || len(got.Errors) != 1 || *got.Errors[0].CommitId != missing {
		t.Errorf("BatchGetCommits = %+v", got)
	}
	one, err := api.GetCommit(ctx, &codecommit.GetCommitInput{RepositoryName: aws.String("api"), CommitId: &second})
	if err != nil {
		t.Fatal(err)
	}
	if c := one.Commit; *c.Message != "Second\n" || !cmp.Equal(c.Parents, []string{first}) || *c.Author.Email != "ada@example.test" || !strings.HasSuffix(*c.Committer.Date, "+0000") {
		t.Errorf("GetCommit = %q %v %q %q", *c.Message, c.Parents, *c.Author.Email, *c.Committer.Date)
	}

	for before, want := range map[string][]string{first: {"D a", "A b/c"}, "": {"A b/c"}} {
		in := &codecommit.GetDifferencesInput{RepositoryName: aws.String("api"), AfterCommitSpecifier: &second}
		if before != "" {
			in.BeforeCommitSpecifier = &before
		}
		d, err := api.GetDifferences(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, d := range d.Differences {
			blob := d.AfterBlob
			if d.ChangeType == types.ChangeTypeEnumDeleted {
				blob = d.BeforeBlob
			}
			said = append(said, string(d.ChangeType)+" "+*blob.Path)
		}
		if diff := cmp.Diff(want, said); diff != "" {
			t.Errorf("from %q: %s", before, diff)
		}
	}
	if len(found.wrong) > 0 {
		t.Error(found.wrong)
	}
}

func TestServerPages(t *testing.T) {
	s, repo, _ := start(t)
	s.PageSize = 2
	tip := repo.Commit("main", "First", map[string]string{"a": "1"})
	for i := range 4 {
		repo.Git("branch", fmt.Sprint("b", i), tip)
	}
	var all []string
	pages := codecommit.NewListBranchesPaginator(s.Client(), &codecommit.ListBranchesInput{RepositoryName: aws.String("api")})
	for pages.HasMorePages() {
		p, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p.Branches...)
	}
	if want := []string{"b0", "b1", "b2", "b3", "main"}; !cmp.Equal(all, want) || len(s.Calls("ListBranches")) != 3 {
		t.Errorf("got %v in %d calls", all, len(s.Calls("ListBranches")))
	}
	_, err := s.Client().ListBranches(t.Context(), &codecommit.ListBranchesInput{RepositoryName: aws.String("api"), NextToken: aws.String("made up")})
	if code(err) != "InvalidContinuationTokenException" {
		t.Errorf("a token that was made up: %v", err)
	}
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func TestServerFailsAsCodeCommitDoes(t *testing.T) {
	s, repo, found := start(t)
	api, ctx, name := s.Client(), t.Context(), aws.String("api")
	tip := repo.Commit("main", "First", map[string]string{"a": "1"})
	repo.Commit("next", "Second", map[string]string{"a": "2"}, tip)
	pull := s.OpenPullRequest(repo, "next", "main")
	own := s.OpenPullRequestBy(codecommittest.Caller, repo, "next", "main")
	s.CommentAs("arn:aws:iam::123456789012:user/eve", pull, "hello")
	missing := strings.Repeat("0", 39) + "1"
	for want, call := range map[string]func() error{
		"RepositoryDoesNotExistException": func() error {
			_, err := api.GetRepository(ctx, &codecommit.GetRepositoryInput{RepositoryName: aws.String("none")})
			return err
		},
		"BranchDoesNotExistException": func() error {
			_, err := api.GetBranch(ctx, &codecommit.GetBranchInput{RepositoryName: name, BranchName: aws.String("none")})
			return err
		},
		"CommitIdDoesNotExistException": func() error {
			_, err := api.GetCommit(ctx, &codecommit.GetCommitInput{RepositoryName: name, CommitId: &missing})
			return err
		},
		"CommitIdsLimitExceededException": func() error {
			_, err := api.BatchGetCommits(ctx, &codecommit.BatchGetCommitsInput{RepositoryName: name, CommitIds: make([]string, 101)})
			return err
		},
		"CommentNotCreatedByCallerException": func() error {
			got, err := api.GetCommentsForPullRequest(ctx, &codecommit.GetCommentsForPullRequestInput{PullRequestId: &pull})
			if err != nil {
				return err
			}
			_, err = api.UpdateComment(ctx, &codecommit.UpdateCommentInput{CommentId: got.CommentsForPullRequestData[0].Comments[0].CommentId, Content: aws.String("x")})
			return err
		},
		"CommentContentSizeLimitExceededException": func() error {
			second, _ := repo.Tip("next")
			_, err := api.PostCommentForPullRequest(ctx, &codecommit.PostCommentForPullRequestInput{PullRequestId: &pull, RepositoryName: name, BeforeCommitId: &tip, AfterCommitId: &second, Content: aws.String(strings.Repeat("é", 10241))})
			return err
		},
		"PullRequestCannotBeApprovedByAuthorException": func() error {
			_, err := api.UpdatePullRequestApprovalState(ctx, &codecommit.UpdatePullRequestApprovalStateInput{PullRequestId: &own, RevisionId: aws.String("r"), ApprovalState: types.ApprovalStateApprove})
			return err
		},
		"RevisionNotCurrentException": func() error {
			_, err := api.UpdatePullRequestApprovalState(ctx, &codecommit.UpdatePullRequestApprovalStateInput{PullRequestId: &pull, RevisionId: aws.String("r"), ApprovalState: types.ApprovalStateApprove})
			return err
		},
	} {
		if err := call(); code(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	s.Throttle(0.001, 1)
	for _, want := range []string{"", "ThrottlingException"} {
		if _, err := api.GetRepository(ctx, &codecommit.GetRepositoryInput{RepositoryName: name}); code(err) != want {
			t.Errorf("throttled: got %v, want %q", err, want)
		}
	}
	if len(found.wrong) > 0 {
		t.Error(found.wrong)
	}
}

// A repeat with the same token is the same comment.
func TestServerKeepsCommentsOnce(t *testing.T) {
	s, repo, _ := start(t)
	before := repo.Commit("main", "First", map[string]string{"a": "1"})
	after := repo.Commit("next", "Second", map[string]string{"a": "2"}, before)
	pull := s.OpenPullRequest(repo, "next", "main")
	say := func(token, text string) error {
		_, err := s.Client().PostCommentForPullRequest(t.Context(), &codecommit.PostCommentForPullRequestInput{
			PullRequestId: &pull, RepositoryName: aws.String("api"), BeforeCommitId: &before, AfterCommitId: &after, Content: &text, ClientRequestToken: &token,
		})
		return err
	}
	if err := errors.Join(say("t1", "one"), say("t1", "one"), say("t2", "two")); err != nil {
		t.Fatal(err)
	}
	if got := s.Comments(pull); !cmp.Equal(got, []string{"one", "two"}) {
		t.Errorf("comments %q", got)
	}
	if err := say("t1", "three"); code(err) != "IdempotencyParameterMismatchException" {
		t.Errorf("another text with the same token: %v", err)
	}
}

// The AWS command line is a client that we did not write.
func TestServerServesTheAWSCommandLine(t *testing.T) {
	cli := os.Getenv("SWITCHYARD_AWS_CLI")
	if cli == "" {
		cli = "aws"
	}
	if _, err := exec.LookPath(cli); err != nil {
		if os.Getenv("SWITCHYARD_REQUIRE_SERVERS") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	s, repo, found := start(t)
	tip := repo.Commit("main", "First", map[string]string{"a": "1"})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, cli, "codecommit", "get-branch", "--repository-name", "api", "--branch-name", "main", "--query", "branch.commitId", "--output", "text", "--endpoint-url", s.URL)
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+codecommittest.AccessKey, "AWS_SECRET_ACCESS_KEY="+codecommittest.SecretKey, "AWS_SESSION_TOKEN=", "AWS_REGION="+codecommittest.Region, "AWS_DEFAULT_REGION="+codecommittest.Region)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != tip || len(found.wrong) > 0 {
		t.Errorf("%v: %s, want %s; complaints %q", err, out, tip, found.wrong)
	}
}

func sha(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
