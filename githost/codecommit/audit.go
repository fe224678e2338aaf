package codecommit

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codecommit/types"
	"golang.org/x/sync/errgroup"

	"switchyard/githost"
	"switchyard/githost/gitrefs"
	"switchyard/internal/event"
)

var (
	_ githost.Refs         = (*Client)(nil)
	_ githost.PullRequests = (*Client)(nil)
)

// Refs implements [githost.Refs] by git's own protocol: the API tells one branch
// at a time. It needs the permission codecommit:GitPull.
func (c *Client) Refs(ctx context.Context, repository string) (map[string]string, error) {
	if err := Check(repository); err != nil {
		return nil, err
	}
	base := c.cfg.CloneBase
	if base == "" {
		base = "https://git-codecommit." + c.cfg.Region + "." + domain(c.cfg.Region) + "/v1/repos"
	}
	cloneURL := strings.TrimRight(base, "/") + "/" + repository
	user, password, err := c.CloneCredentials(ctx, cloneURL)
	if err != nil {
		return nil, err
	}
	transport := c.git
	if transport == nil {
		transport = http.DefaultTransport
	}
	return gitrefs.List(ctx, transport, cloneURL, user, password)
}

// domain is where a region's services are.
func domain(region string) string {
	if strings.HasPrefix(region, "cn-") {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}

// PullRequests implements [githost.PullRequests], with a call for each that is
// open: nothing tells whether one of them changed. A pull request between other
// refs than branches is left out.
func (c *Client) PullRequests(ctx context.Context, repository, mark string) ([]event.Event, string, error) {
	if err := Check(repository); err != nil {
		return nil, "", err
	}
	var ids []string
	for token := (*string)(nil); ; {
		page, err := Ask(ctx, c, c.api.ListPullRequests, &codecommit.ListPullRequestsInput{
			RepositoryName: &repository, PullRequestStatus: types.PullRequestStatusEnumOpen, NextToken: token,
		})
		if err != nil {
			return nil, "", c.Verdict(ctx, "ListPullRequests", repository, err)
		}
		ids = append(ids, page.PullRequestIds...)
		if token = page.NextToken; token == nil {
			break
		}
	}
	found := make([]*event.Event, len(ids))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i := range ids {
		group.Go(func() error {
			got, err := Ask(groupCtx, c, c.api.GetPullRequest, &codecommit.GetPullRequestInput{PullRequestId: &ids[i]})
			switch {
			case Code(err) == "PullRequestDoesNotExistException": // gone meanwhile
			case err != nil:
				return c.Verdict(ctx, "GetPullRequest", repository+" "+ids[i], err)
			default:
				found[i] = c.pullRequest(repository, got.PullRequest)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, "", err
	}
	var open []event.Event
	var next strings.Builder
	for _, ev := range found {
		if ev != nil {
			open = append(open, *ev)
		}
	}
	slices.SortFunc(open, func(a, b event.Event) int { return a.PullRequest.Number - b.PullRequest.Number })
	for i := range open {
		next.WriteString(strconv.Itoa(open[i].PullRequest.Number) + ":" + open[i].After + ":" + open[i].PullRequest.Base + "\n")
	}
	if mark != "" && mark == next.String() {
		return nil, "", githost.ErrUnchanged
	}
	return open, next.String(), nil
}

// pullRequest is the event that tells of one that is open, nil for what routes
// have no use for.
func (c *Client) pullRequest(repository string, p *types.PullRequest) *event.Event {
	if p == nil || p.PullRequestStatus != types.PullRequestStatusEnumOpen || len(p.PullRequestTargets) != 1 {
		return nil
	}
	target := p.PullRequestTargets[0]
	number, err := strconv.Atoi(aws.ToString(p.PullRequestId))
	base, based := branch(target.DestinationReference)
	source, sourced := branch(target.SourceReference)
	head, baseSHA := aws.ToString(target.SourceCommit), aws.ToString(target.DestinationCommit)
	if err != nil || !based || !sourced || Check(repository, head, baseSHA) != nil {
		return nil
	}
	author := aws.ToString(p.AuthorArn)
	author = author[strings.LastIndexAny(author, "/:")+1:]
	return &event.Event{
		Kind: event.PullRequest, Action: "synchronize", Ref: "refs/heads/" + source, After: head,
		Repository: event.Repository{FullName: repository},
		Commits:    []event.Commit{{SHA: head, Author: author, URL: c.console(repository, head), Distinct: true}},
		PullRequest: &event.PullReq{
			Number: number, Base: base, BaseSHA: baseSHA, Title: aws.ToString(p.Title), Author: author, HeadRepo: repository,
		},
	}
}

// branch is the name of a pull request's branch, which is asked for without
// refs/heads/ and told with it, in AWS's examples.
func branch(reference *string) (name string, ok bool) {
	name, full := strings.CutPrefix(aws.ToString(reference), "refs/heads/")
	return name, name != "" && (full || !strings.HasPrefix(name, "refs/"))
}
