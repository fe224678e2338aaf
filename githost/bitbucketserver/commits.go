package bitbucketserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/githost/internal/ancestry"
	"switchyard/githost/internal/rest"
	"switchyard/internal/event"
)

const (
	// maxCommits is for how many commits of one event the host is asked.
	maxCommits = 10_000
	// maxPaths is of how many files of a commit the host is asked.
	maxPaths = 10_000
)

type commit struct {
	ID      string `json:"id"`
	Message string `json:"message"`
	Author  struct {
		Name         string `json:"name"`
		EmailAddress string `json:"emailAddress"`
	} `json:"author"`
	// CommitterTimestamp is in milliseconds.
	CommitterTimestamp int64 `json:"committerTimestamp"`
	Parents            []struct {
		ID string `json:"id"`
	} `json:"parents"`
}

func (c *Client) made(repository string, from *commit) ancestry.Commit {
	sha := strings.ToLower(from.ID)
	made := ancestry.Commit{Commit: event.Commit{
		SHA: sha, Message: from.Message, MessageKnown: true, Author: from.Author.Name, AuthorEmail: from.Author.EmailAddress,
		URL: c.webURL(repository, "commits", sha), Distinct: true,
	}}
	if from.CommitterTimestamp > 0 {
		made.At = time.UnixMilli(from.CommitterTimestamp)
	}
	for _, p := range from.Parents {
		made.Parents = append(made.Parents, strings.ToLower(p.ID))
	}
	return made
}

// webURL is a page of a repository.
func (c *Client) webURL(repository string, segments ...string) string {
	at, err := path("", repository, segments...)
	if err != nil {
		return ""
	}
	return c.cfg.BaseURL + at
}

// Commits implements [dispatch.Host]. The commits of a push are those that its
// head has and the commit before it has not. Of a created branch they are those
// that the default branch has not, which may be more than the push brought. Of a
// tag it is the one that the tag names, which the delivery may not tell.
func (c *Client) Commits(ctx context.Context, ev *event.Event) ([]event.Commit, error) {
	repository := ev.Repository.FullName
	switch {
	case ev.Kind == event.PullRequest:
		return c.ofPullRequest(ctx, ev)
	case ev.Tag() != "":
		return c.tagged(ctx, ev)
	}
	if err := checkSHA(ev.After); err != nil {
		return nil, err
	}
	if ev.Before != "" {
		if err := checkSHA(ev.Before); err != nil {
			return nil, err
		}
		found, err := c.between(ctx, repository, ev.After, ev.Before, maxCommits)
		if !errors.As(err, new(*dispatch.PermanentError)) {
			return found, err
		}
		if _, missing := c.commit(ctx, repository, ev.After); missing != nil {
			return nil, missing
		}
		if _, missing := c.commit(ctx, repository, ev.Before); missing != nil {
			return nil, fmt.Errorf("%s was at %.12s before the push; which commits are new cannot be told without it: %w", ev.Ref, ev.Before, missing)
		}
		return nil, err
	}
	base, err := c.defaultBranch(ctx, repository)
	if err != nil {
		return nil, err
	}
	if base == "" || base == ev.Ref {
		return c.between(ctx, repository, ev.After, "", maxCommits) // the first push: all of it is new
	}
	found, err := c.between(ctx, repository, ev.After, base, maxCommits)
	if err == nil && !ancestry.Lists(found, ev.Commits) {
		return nil, &dispatch.PermanentError{Err: fmt.Errorf("%s has the commits of %s by now, so that %s no longer tells which of them the push brought", base, ev.Ref, repository)}
	}
	return found, err
}

// tagged returns the commit that a pushed tag names. The delivery has either that
// or the tag's own ID.
func (c *Client) tagged(ctx context.Context, ev *event.Event) ([]event.Commit, error) {
	repository, sha := ev.Repository.FullName, ev.After
	if sha == "" {
		at, err := path(api, repository, append([]string{"tags"}, strings.Split(ev.Tag(), "/")...)...)
		if err != nil {
			return nil, err
		}
		var tag struct {
			// Hash is the tag's own, nil where it is none.
			Hash         *string `json:"hash"`
			LatestCommit string  `json:"latestCommit"`
		}
		if _, err := c.ask(ctx, fmt.Sprintf("read tag %q", ev.Tag()), repository, "", rest.Call{Path: at, Into: &tag}); err != nil {
			return nil, err
		}
		sha = strings.ToLower(tag.LatestCommit)
		if sha != ev.Head && (tag.Hash == nil || strings.ToLower(*tag.Hash) != ev.Head) {
			return nil, &dispatch.PermanentError{Err: fmt.Errorf("tag %q of %s is no longer at %.12s: it was moved, of which there is another delivery", ev.Tag(), repository, ev.Head)}
		}
	}
	if err := checkSHA(sha); err != nil {
		return nil, err
	}
	one, err := c.commit(ctx, repository, sha)
	if err != nil {
		return nil, err
	}
	return []event.Commit{one}, nil
}

// defaultBranch is the full ref of the repository's, empty where it has none yet.
func (c *Client) defaultBranch(ctx context.Context, repository string) (string, error) {
	at, err := path(api, repository, "default-branch")
	if err != nil {
		return "", err
	}
	var branch struct {
		ID string `json:"id"`
	}
	_, err = c.rest.Do(ctx, rest.Call{Path: at, Into: &branch})
	if rest.Code(err) == http.StatusNotFound {
		// No repository, or no default branch: what follows tells.
		return "", nil
	}
	return branch.ID, c.rest.Verdict(ctx, "read the default branch", repository, "", err)
}

// between lists what head has and base has not, oldest first; all that head has
// where base is empty.
func (c *Client) between(ctx context.Context, repository, head, base string, most int) ([]event.Commit, error) {
	key := repository + " " + head + " " + base
	walk := c.walks.Take(key)
	err := c.list(ctx, repository, head, base, &walk, most, func(*ancestry.Commit) bool { return true })
	if base == "" || checkSHA(base) == nil { // a branch moves, and its pages with it
		err = c.walks.Keep(ctx, key, walk, err)
	}
	if err != nil {
		return nil, err
	}
	return ancestry.OldestFirst(walk.Found), nil
}

// list goes back from head, or on from where a walk has come to, for as long as
// wanted says so of a commit. It adds what it meets, newest first.
func (c *Client) list(ctx context.Context, repository, head, base string, walk *ancestry.Walk, most int, wanted func(*ancestry.Commit) bool) error {
	at, err := path(api, repository, "commits")
	if err != nil {
		return err
	}
	q := query("until", head)
	if base != "" {
		q.Set("since", base)
	}
	if walk.Next != "" {
		q.Set("start", walk.Next)
	}
	return c.collect(ctx, fmt.Sprintf("list the commits of %.12s", head), repository, rest.Call{Path: at, Query: q}, walk, most, wanted)
}

func (c *Client) collect(ctx context.Context, op, repository string, call rest.Call, walk *ancestry.Walk, most int, wanted func(*ancestry.Commit) bool) error {
	err := list(ctx, c, op, repository, "", &call, func(more []commit, _ bool) (bool, error) {
		for i := range more {
			found := c.made(repository, &more[i])
			if !wanted(&found) {
				return false, nil
			}
			walk.Found = append(walk.Found, found)
		}
		if len(walk.Found) > most {
			return false, &dispatch.PermanentError{Err: fmt.Errorf("%s at %s: there are more than %d commits, which is for how many the host is asked", op, repository, most)}
		}
		return true, nil
	})
	walk.Next = call.Query.Get("start")
	return err
}

// CommitsSince implements [githost.History]. The host lists by descent, so that
// one commit with a date that is too old does not hide those before it: only a
// hundred of them in a row end the list.
func (c *Client) CommitsSince(ctx context.Context, repository, head string, since time.Time) ([]event.Commit, error) {
	if err := checkSHA(head); err != nil {
		return nil, err
	}
	const enough = 100
	old := 0
	walk := ancestry.Walk{}
	err := c.list(ctx, repository, head, "", &walk, maxCommits, func(found *ancestry.Commit) bool {
		if old++; !found.At.Before(since) {
			old = 0
		}
		return old < enough
	})
	if err != nil {
		return nil, err
	}
	return ancestry.OldestFirst(slices.DeleteFunc(walk.Found, func(c ancestry.Commit) bool { return c.At.Before(since) })), nil
}

func (c *Client) commit(ctx context.Context, repository, sha string) (event.Commit, error) {
	at, err := path(api, repository, "commits", sha)
	if err != nil {
		return event.Commit{}, err
	}
	var found commit
	if _, err := c.ask(ctx, fmt.Sprintf("read commit %.12s", sha), repository, "", rest.Call{Path: at, Into: &found}); err != nil {
		return event.Commit{}, err
	}
	made := c.made(repository, &found).Commit
	if made.SHA != sha {
		return event.Commit{}, fmt.Errorf("read commit %.12s at %s: the host answers with another, %.64q", sha, repository, made.SHA)
	}
	return made, nil
}

type file struct {
	Components []string `json:"components"`
	// Text is the whole path, which older versions may lack.
	Text string `json:"toString"`
}

func (f *file) path() string {
	if f == nil {
		return ""
	}
	return cmp.Or(strings.Join(f.Components, "/"), f.Text)
}

// Commit implements [dispatch.Host]. The paths are those that the commit changed
// against its first parent; with more than 10,000 they are unknown.
func (c *Client) Commit(ctx context.Context, _, repository, sha string) (event.Commit, error) {
	if err := checkSHA(sha); err != nil {
		return event.Commit{}, err
	}
	made, err := c.commit(ctx, repository, sha)
	if err != nil {
		return event.Commit{}, err
	}
	at, err := path(api, repository, "commits", sha, "changes")
	if err != nil {
		return event.Commit{}, err
	}
	type change struct {
		Type    string `json:"type"`
		Path    *file  `json:"path"`
		SrcPath *file  `json:"srcPath"`
	}
	made.PathsKnown = true
	err = list(ctx, c, fmt.Sprintf("list what commit %.12s changed", sha), repository, "", &rest.Call{Path: at}, func(more []change, _ bool) (bool, error) {
		for _, f := range more {
			// A moved file was removed under its former name; a copied one stays.
			if former := f.SrcPath.path(); f.Type == "MOVE" && former != "" {
				made.Paths = append(made.Paths, former)
			}
			if p := f.Path.path(); p != "" {
				made.Paths = append(made.Paths, p)
			}
		}
		if len(made.Paths) > maxPaths {
			made.Paths, made.PathsKnown = nil, false
		}
		return made.PathsKnown, nil
	})
	if err != nil {
		return event.Commit{}, err
	}
	return made, nil
}

// ofPullRequest lists what the head of a pull request has and its base has not. The
// host lists those of its head of today, those of a fork too and also when it is
// merged. What the event's head has of them is what it had then.
func (c *Client) ofPullRequest(ctx context.Context, ev *event.Event) ([]event.Commit, error) {
	repository := ev.Repository.FullName
	if ev.PullRequest == nil {
		return nil, &dispatch.PermanentError{Err: errors.New("the event does not say which pull request it is about")}
	}
	if err := checkSHA(ev.After); err != nil {
		return nil, err
	}
	number := strconv.Itoa(ev.PullRequest.Number)
	at, err := path(api, repository, "pull-requests", number, "commits")
	if err != nil {
		return nil, err
	}
	most := githost.MostCommits(ev.PullRequest, maxCommits)
	walk := ancestry.Walk{}
	err = c.collect(ctx, "list the commits of pull request "+number, repository, rest.Call{Path: at, Query: url.Values{}}, &walk, most, func(*ancestry.Commit) bool { return true })
	if err != nil && (len(walk.Found) > most || !errors.As(err, new(*dispatch.PermanentError))) {
		return nil, err
	}
	if upTo := ancestry.UpTo(walk.Found, ev.After); len(upTo) > 0 {
		return ancestry.OldestFirst(upTo), nil
	}
	// Its branch was moved on by force, or the pull request is deleted.
	all, err := c.between(ctx, repository, ev.After, "refs/heads/"+ev.PullRequest.Base, most)
	if err != nil || len(all) > 0 {
		return all, err
	}
	one, err := c.commit(ctx, repository, ev.After) // its base has it by now
	if err != nil {
		return nil, err
	}
	return []event.Commit{one}, nil
}
