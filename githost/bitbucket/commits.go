package bitbucket

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"switchyard/dispatch"
	"switchyard/githost/internal/ancestry"
	"switchyard/githost/internal/rest"
	"switchyard/internal/event"
)

const (
	// maxCommits is for how many commits of one event the host is asked: a hundred
	// calls, of a thousand in an hour.
	maxCommits = 10_000
	// maxPaths is of how many files of a commit the host is asked.
	maxPaths = 10_000
	// commitFields is what is taken of each commit of a list, the rest of which is
	// mostly links; see "Partial responses".
	commitFields = "next,values.hash,values.date,values.message,values.author.raw,values.author.user.nickname,values.links.html.href,values.parents.hash"
)

type commit struct {
	Hash    string    `json:"hash"`
	Date    time.Time `json:"date"`
	Message string    `json:"message"`
	Author  struct {
		Raw  string `json:"raw"`
		User struct {
			Nickname string `json:"nickname"`
		} `json:"user"`
	} `json:"author"`
	Links struct {
		HTML struct {
			Href string `json:"href"`
		} `json:"html"`
	} `json:"links"`
	Parents []struct {
		Hash string `json:"hash"`
	} `json:"parents"`
}

func (c *commit) event() ancestry.Commit {
	name, rest, _ := strings.Cut(c.Author.Raw, "<")
	email, _, _ := strings.Cut(rest, ">")
	author := c.Author.User.Nickname
	if author == "" {
		author = strings.TrimSpace(name)
	}
	made := ancestry.Commit{At: c.Date, Commit: event.Commit{
		SHA: strings.ToLower(c.Hash), Message: c.Message, MessageKnown: true, Author: author, AuthorEmail: strings.TrimSpace(email),
		URL: c.Links.HTML.Href, Distinct: true,
	}}
	for _, p := range c.Parents {
		made.Parents = append(made.Parents, strings.ToLower(p.Hash))
	}
	return made
}

// Commits implements [dispatch.Host]. The commits of a push are those that its
// head has and the commit before it has not. Of a created branch they are those
// that the main branch has not, which may be more than the push brought. Of a pull
// request the head may be known by its first digits alone.
func (c *Client) Commits(ctx context.Context, ev *event.Event) ([]event.Commit, error) {
	if ev.Kind == event.PullRequest {
		return c.ofPullRequest(ctx, ev)
	}
	repository := ev.Repository.FullName
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
	main, err := c.mainBranch(ctx, repository)
	if err != nil {
		return nil, err
	}
	if main == "" || main == ev.Branch() {
		return c.between(ctx, repository, ev.After, "", maxCommits) // the first push: all of it is new
	}
	found, err := c.between(ctx, repository, ev.After, main, maxCommits)
	if err == nil && !ancestry.Lists(found, ev.Commits) {
		return nil, &dispatch.PermanentError{Err: fmt.Errorf("%s has the commits of %s by now, so that %s no longer tells which of them the push brought", main, ev.Ref, repository)}
	}
	return found, err
}

// mainBranch is the repository's, empty where it has none yet.
func (c *Client) mainBranch(ctx context.Context, repository string) (string, error) {
	at, err := path(repository)
	if err != nil {
		return "", err
	}
	var r struct {
		MainBranch *struct {
			Name string `json:"name"`
		} `json:"mainbranch"`
	}
	if _, err := c.ask(ctx, "read the repository", repository, "", rest.Call{Path: at, Into: &r}); err != nil || r.MainBranch == nil {
		return "", err
	}
	return r.MainBranch.Name, nil
}

// between lists what head has and base has not, oldest first; all that head has
// where base is empty.
func (c *Client) between(ctx context.Context, repository, head, base string, most int) ([]event.Commit, error) {
	key := repository + " " + head + " " + base
	walk := c.walks.Take(key)
	err := c.list(ctx, repository, head, base, &walk, most, func(*ancestry.Commit) bool { return true })
	if err = c.walks.Keep(ctx, key, walk, err); err != nil {
		return nil, err
	}
	return ancestry.OldestFirst(walk.Found), nil
}

// list goes back from head, or on from where a walk has come to, for as long as
// wanted says so of a commit. It adds what it meets, newest first.
func (c *Client) list(ctx context.Context, repository, head, base string, walk *ancestry.Walk, most int, wanted func(*ancestry.Commit) bool) error {
	at, err := path(repository, "commits")
	if err != nil {
		return err
	}
	q := query("include", head, "pagelen", strconv.Itoa(pageSize), "fields", commitFields)
	if base != "" {
		q.Add("exclude", base)
	}
	call := rest.Call{Path: at, Query: q}
	if walk.Next != "" {
		call = rest.Call{URL: walk.Next}
	}
	err = list(ctx, c, fmt.Sprintf("list the commits of %.12s", head), repository, "", &call, func(more []commit) (bool, error) {
		for i := range more {
			found := more[i].event()
			if !wanted(&found) {
				return false, nil
			}
			walk.Found = append(walk.Found, found)
		}
		if len(walk.Found) > most {
			return false, &dispatch.PermanentError{Err: fmt.Errorf("%s: there are more than %d commits, which is for how many the host is asked", repository, most)}
		}
		return true, nil
	})
	walk.Next = call.URL
	return err
}

// CommitsSince implements [githost.History]. The host lists by descent, so that
// one commit with a date that is too old does not hide those before it: only a
// whole page of them ends the list.
func (c *Client) CommitsSince(ctx context.Context, repository, head string, since time.Time) ([]event.Commit, error) {
	if err := checkSHA(head); err != nil {
		return nil, err
	}
	old := 0
	walk := ancestry.Walk{}
	err := c.list(ctx, repository, head, "", &walk, maxCommits, func(found *ancestry.Commit) bool {
		if old++; !found.At.Before(since) {
			old = 0
		}
		return old < pageSize
	})
	if err != nil {
		return nil, err
	}
	return ancestry.OldestFirst(slices.DeleteFunc(walk.Found, func(c ancestry.Commit) bool { return c.At.Before(since) })), nil
}

// commit reads one commit, by its ID or the first digits of that.
func (c *Client) commit(ctx context.Context, repository, id string) (event.Commit, error) {
	at, err := path(repository, "commit", id)
	if err != nil {
		return event.Commit{}, err
	}
	var found commit
	if _, err := c.ask(ctx, fmt.Sprintf("read commit %.12s", id), repository, "", rest.Call{Path: at, Into: &found}); err != nil {
		return event.Commit{}, err
	}
	made := found.event().Commit
	if checkSHA(made.SHA) != nil || !strings.HasPrefix(made.SHA, id) {
		return event.Commit{}, fmt.Errorf("read commit %.12s at %s: the host answers with another, %.64q", id, repository, made.SHA)
	}
	return made, nil
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
	at, err := path(repository, "diffstat", sha)
	if err != nil {
		return event.Commit{}, err
	}
	type file struct {
		Path string `json:"path"`
	}
	type change struct {
		Old *file `json:"old"`
		New *file `json:"new"`
	}
	made.PathsKnown = true
	q := query("renames", "false", "pagelen", strconv.Itoa(pageSize))
	err = list(ctx, c, fmt.Sprintf("list what commit %.12s changed", sha), repository, "", &rest.Call{Path: at, Query: q}, func(more []change) (bool, error) {
		for _, f := range more {
			// A renamed file was removed under its former name, also where the
			// host tells of both at once.
			if f.Old != nil && (f.New == nil || f.New.Path != f.Old.Path) {
				made.Paths = append(made.Paths, f.Old.Path)
			}
			if f.New != nil {
				made.Paths = append(made.Paths, f.New.Path)
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
