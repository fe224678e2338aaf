package bitbucket

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/githost/internal/ancestry"
	"switchyard/githost/internal/rest"
	"switchyard/internal/event"
)

// pullsPage is the most pull requests that the API lists at once.
const pullsPage = 50

// maxFull is how many commits' IDs are remembered by their first digits.
const maxFull = 10_000

type pullRequest struct {
	ID     int    `json:"id"`
	Title  string `json:"title"`
	Draft  bool   `json:"draft"`
	State  string `json:"state"`
	Author struct {
		Nickname    string `json:"nickname"`
		DisplayName string `json:"display_name"`
		AccountID   string `json:"account_id"`
		UUID        string `json:"uuid"`
	} `json:"author"`
	UpdatedOn   string `json:"updated_on"`
	Source      end    `json:"source"`
	Destination end    `json:"destination"`
}

type end struct {
	Branch struct {
		Name string `json:"name"`
	} `json:"branch"`
	// Commit has the first 12 digits of its ID.
	Commit *struct {
		Hash string `json:"hash"`
	} `json:"commit"`
	Repository *struct {
		FullName string `json:"full_name"`
		UUID     string `json:"uuid"`
	} `json:"repository"`
}

// head is what the host calls the head of a pull request, empty where it does not
// say.
func (e *end) head() string {
	if e.Commit == nil {
		return ""
	}
	return strings.ToLower(e.Commit.Hash)
}

// ofPullRequest lists what the head of a pull request has and its base has not.
// The host lists those of its head of today, those of a fork too and also when it is
// merged. What the event's head has of them is what it had then.
func (c *Client) ofPullRequest(ctx context.Context, ev *event.Event) ([]event.Commit, error) {
	repository := ev.Repository.FullName
	if ev.PullRequest == nil {
		return nil, &dispatch.PermanentError{Err: errors.New("the event does not say which pull request it is about")}
	}
	head := ev.After
	if head == "" {
		head = ev.Head
	}
	most := githost.MostCommits(ev.PullRequest, maxCommits)
	found, err := c.listPullRequest(ctx, repository, ev.PullRequest.Number, most)
	if err != nil && (len(found) > most || !errors.As(err, new(*dispatch.PermanentError))) {
		return nil, err
	}
	if head == "" && len(found) > 0 {
		head = found[0].SHA // newest first
	}
	if upTo := ancestry.UpTo(found, head); len(upTo) > 0 {
		return ancestry.OldestFirst(upTo), nil
	}
	if head == "" {
		return nil, &dispatch.PermanentError{Err: fmt.Errorf("pull request %d of %s has no commits, and the delivery names none", ev.PullRequest.Number, repository)}
	}
	// Its branch was moved on by force, or it is merged and its branch gone.
	if ev.After == "" {
		full, err := c.commit(ctx, repository, head)
		if err != nil {
			return nil, err
		}
		head = full.SHA
	}
	if err := checkSHA(head); err != nil {
		return nil, err
	}
	all, err := c.between(ctx, repository, head, ev.PullRequest.Base, most)
	if err != nil || len(all) > 0 {
		return all, err
	}
	one, err := c.commit(ctx, repository, head) // its base has it by now
	if err != nil {
		return nil, err
	}
	return []event.Commit{one}, nil
}

// listPullRequest lists the commits of a pull request's head of today, newest
// first. Where there are more than most, that is an error.
func (c *Client) listPullRequest(ctx context.Context, repository string, number, most int) ([]ancestry.Commit, error) {
	at, err := path(repository, "pullrequests", strconv.Itoa(number), "commits")
	if err != nil {
		return nil, err
	}
	var all []ancestry.Commit
	q := query("pagelen", strconv.Itoa(pageSize), "fields", commitFields)
	err = list(ctx, c, fmt.Sprintf("list the commits of pull request %d", number), repository, readPulls, &rest.Call{Path: at, Query: q}, func(more []commit) (bool, error) {
		for i := range more {
			all = append(all, more[i].event())
		}
		if len(all) > most {
			return false, &dispatch.PermanentError{Err: fmt.Errorf("%s: pull request %d has more than %d commits, which is for how many the host is asked", repository, number, most)}
		}
		return true, nil
	})
	return all, err
}

const readPulls = `the scope "pullrequest" (Pull requests: Read)`

// PullRequests implements [githost.PullRequests]. The host lists the last changed
// first, so that the first page shows whether anything changed.
func (c *Client) PullRequests(ctx context.Context, repository, mark string) ([]event.Event, string, error) {
	at, err := path(repository, "pullrequests")
	if err != nil {
		return nil, "", err
	}
	q := query("state", "OPEN", "sort", "-updated_on", "pagelen", strconv.Itoa(pullsPage))
	var first page[pullRequest]
	const op = "list the pull requests"
	if _, err := c.ask(ctx, op, repository, readPulls, rest.Call{Path: at, Query: q, Into: &first}); err != nil {
		return nil, "", err
	}
	all, next := first.Values, markOf(&first)
	if next != "" && next == mark {
		return nil, next, githost.ErrUnchanged
	}
	if first.Next != "" {
		err = list(ctx, c, op, repository, readPulls, &rest.Call{URL: first.Next}, func(more []pullRequest) (bool, error) {
			all = append(all, more...)
			return true, nil
		})
		if err != nil {
			return nil, "", err
		}
	}
	var open []event.Event
	for i := range all {
		ev, err := c.opened(ctx, repository, &all[i])
		if err != nil {
			return nil, "", err
		}
		open = append(open, ev)
	}
	return open, next, nil
}

// PullRequest implements [githost.PullRequestReader].
func (c *Client) PullRequest(ctx context.Context, repository string, number int) (event.Event, error) {
	at, err := path(repository, "pullrequests", strconv.Itoa(number))
	if err != nil {
		return event.Event{}, err
	}
	var p pullRequest
	if _, err := c.ask(ctx, fmt.Sprintf("read pull request %d", number), repository, readPulls, rest.Call{Path: at, Into: &p}); err != nil {
		return event.Event{}, err
	}
	if p.State != "OPEN" {
		return event.Event{}, &dispatch.PermanentError{Err: fmt.Errorf("pull request %d of %s is not open", number, repository)}
	}
	return c.opened(ctx, repository, &p)
}

// markOf is a digest of what the first page says, and of how many there are: one
// that is closed leaves the list without a change of the others. It is empty where
// the host does not say.
func markOf(first *page[pullRequest]) string {
	if first.Size == nil && first.Next != "" {
		return ""
	}
	sum := sha256.New()
	if first.Size != nil {
		fmt.Fprintln(sum, *first.Size)
	}
	for i := range first.Values {
		p := &first.Values[i]
		fmt.Fprintf(sum, "%d %q %q\n", p.ID, p.UpdatedOn, p.Source.head())
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// opened is an open pull request as the event of its head.
func (c *Client) opened(ctx context.Context, repository string, p *pullRequest) (event.Event, error) {
	author := p.Author.Nickname
	if author == "" {
		author = p.Author.DisplayName
	}
	names := event.OtherNames(author, p.Author.AccountID, p.Author.UUID, p.Author.DisplayName)
	ev := event.Event{
		Kind: event.PullRequest, Action: "synchronize", Repository: event.Repository{FullName: repository},
		Ref: "refs/heads/" + p.Source.Branch.Name, Sender: author, SenderNames: names,
		PullRequest: &event.PullReq{
			Number: p.ID, Base: p.Destination.Branch.Name, Title: p.Title, Author: author, AuthorNames: names, Draft: p.Draft,
			Fork: p.Source.Repository == nil || p.Destination.Repository == nil || p.Source.Repository.UUID != p.Destination.Repository.UUID,
		},
	}
	if p.Source.Repository != nil {
		ev.PullRequest.HeadRepo = p.Source.Repository.FullName
	}
	sha, err := c.fullID(ctx, repository, p.ID, p.Source.head())
	if err != nil {
		return event.Event{}, err
	}
	ev.After, ev.Truncated = sha, true
	ev.Commits = []event.Commit{{SHA: sha, Author: author, Distinct: true}}
	return ev, nil
}

// fullID is the ID of a pull request's head, of which the host tells the first
// digits where it lists pull requests.
func (c *Client) fullID(ctx context.Context, repository string, number int, short string) (string, error) {
	if checkSHA(short) == nil {
		return short, nil
	}
	key := [2]string{repository, short}
	c.mu.Lock()
	full := c.full[key]
	c.mu.Unlock()
	if full != "" && short != "" {
		return full, nil
	}
	at, err := path(repository, "pullrequests", strconv.Itoa(number), "commits")
	if err != nil {
		return "", err
	}
	var p page[commit]
	q := query("pagelen", "1", "fields", commitFields)
	if _, err := c.ask(ctx, fmt.Sprintf("read the head of pull request %d", number), repository, readPulls, rest.Call{Path: at, Query: q, Into: &p}); err != nil {
		return "", err
	}
	if len(p.Values) == 0 || checkSHA(strings.ToLower(p.Values[0].Hash)) != nil || !strings.HasPrefix(strings.ToLower(p.Values[0].Hash), short) {
		return "", fmt.Errorf("read the head of pull request %d at %s: it moves while it is read", number, repository)
	}
	full = strings.ToLower(p.Values[0].Hash)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.full) >= maxFull {
		clear(c.full)
	}
	c.full[key] = full
	return full, nil
}
