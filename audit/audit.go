// Package audit holds what git hosts have against what the journal has: every
// commit of every routed branch and open pull request has an execution, or a
// reason why not.
//
// Deliveries get lost, and hosts hardly ever send one again. What is found
// missing is healed by an event of our own, which takes the way of every
// delivery. Identity makes that safe: a commit that was started before is not
// started again, whoever tells of it.
//
// An audit remembers of each repository where its branches were when nothing was
// missing, and asks for no more than what came since. Where nothing changed, that
// is one question for the branches, to git itself, and one for the pull requests.
package audit

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"go.uber.org/zap"

	"switchyard/githost"
	"switchyard/internal/event"
	"switchyard/internal/safetext"
)

// Host is what an audit asks of a source's host. One that is a
// [githost.PullRequests], [githost.History] or [githost.Redeliverer] too is asked
// for that as well.
type Host interface {
	githost.Refs
	// Commits returns what a push brought to its ref, or a pull request has and
	// its base has not, oldest first.
	Commits(ctx context.Context, ev *event.Event) ([]event.Commit, error)
	// Commit returns one with its message and the paths it changed.
	Commit(ctx context.Context, source, repository, sha string) (event.Commit, error)
}

// Planner says which requests an event asks for, and why others not. It is pure.
type Planner interface {
	Plan(ev event.Event) event.Plan
	// HasRoute reports whether there is a route of that name.
	HasRoute(name string) bool
}

// Ledger is what is known here. It is safe for concurrent use.
type Ledger interface {
	// Audited returns what [Ledger.KeepAudited] kept of a repository last, nil if
	// nothing.
	Audited(ctx context.Context, source, repository string) ([]byte, error)
	KeepAudited(ctx context.Context, source, repository string, state []byte, at time.Time) error
	// Tip returns the commit at which the last push left a ref, "" when that is
	// not known or the ref was deleted.
	Tip(ctx context.Context, source, repository, ref string) (string, error)
	// Heard returns the events of a repository that were taken with a higher
	// number than after, in order, and the number up to which it has looked; more
	// says that there are others beyond that.
	Heard(ctx context.Context, source, repository string, after int64) (evs []event.Event, last int64, more bool, err error)
	// Known returns what events said of commits of a repository, by SHA.
	Known(ctx context.Context, source, repository string, shas []string) (map[string]event.Commit, error)
	// Exist tells for each request whether there is an execution for it.
	Exist(ctx context.Context, requests []event.Request) ([]bool, error)
	// Accept makes an event durable, as a delivery, and has it worked off.
	Accept(ctx context.Context, ev event.Event) (event.Receipt, error)
}

// Repository is a repository that is audited, and who is asked about it.
type Repository struct {
	Source, Name string
	Host         Host
	// Hook is where the source's webhook leads, as its host knows it; empty where
	// nobody is asked to deliver again.
	Hook string
	// CloneURL is where builds fetch from, as events say it.
	CloneURL string
	// Unable is why nobody can be asked about it, nil where Host is set.
	Unable error
}

// callTimeout bounds each question to a host, which may take many pages.
const callTimeout = 2 * time.Minute

// Config is what an operator sets.
type Config struct {
	// Every is how often each repository is audited by [Auditor.Run]; 0 is never.
	Every time.Duration
	// Heal has [Auditor.Run] start what is missing.
	Heal bool
	// Retention is how long the ledger keeps what it knows; 0 is for ever. Nothing
	// older is audited: it would run again.
	Retention time.Duration
	// Grace is how long a delivery that is on its way is waited for before a
	// commit counts as missing.
	Grace time.Duration
}

// Auditor audits repositories. It is safe for concurrent use; a repository is
// audited by one caller at a time.
type Auditor struct {
	ledger       Ledger
	repositories func(ctx context.Context) ([]Repository, error)
	rules        func() (Planner, Config)
	throttled    func(error) (after time.Duration, ok bool)
	refuses      func(error) bool
	now          func() time.Time
	log          *zap.Logger
	observer     func(Summary)

	mu   sync.Mutex
	busy map[key]chan struct{}
}

type key struct{ source, repository string }

// Option replaces what wiring or a test provides.
type Option func(*Auditor)

// WithLogger names the logger "audit"; the default is silent.
func WithLogger(l *zap.Logger) Option { return func(a *Auditor) { a.log = l.Named("audit") } }

// WithClock replaces time.Now.
func WithClock(now func() time.Time) Option { return func(a *Auditor) { a.now = now } }

// WithThrottled says how an error of a [Host] is told that asks for fewer calls,
// and for how long.
func WithThrottled(f func(error) (time.Duration, bool)) Option {
	return func(a *Auditor) { a.throttled = f }
}

// WithRefusals says which errors of a [Host] are its last word, such as that it has
// no such commit. Any other is asked about again in the next audit.
func WithRefusals(f func(error) bool) Option { return func(a *Auditor) { a.refuses = f } }

// WithObserver is told of every repository that was audited.
func WithObserver(f func(Summary)) Option { return func(a *Auditor) { a.observer = f } }

// New returns an auditor. repositories lists what is to be audited, and rules are
// those in force, each time anew.
func New(ledger Ledger, repositories func(ctx context.Context) ([]Repository, error), rules func() (Planner, Config), opts ...Option) *Auditor {
	a := &Auditor{
		ledger: ledger, repositories: repositories, rules: rules, now: time.Now, log: zap.NewNop(),
		throttled: func(error) (time.Duration, bool) { return 0, false },
		refuses:   func(error) bool { return false },
		observer:  func(Summary) {}, busy: map[key]chan struct{}{},
	}
	for _, o := range opts {
		o(a)
	}
	return a
}

// Query says what is audited, and what is done about it.
type Query struct {
	// Route, Repository and Branch narrow it down to one of each, by its name.
	// A Repository may be named with its source before it and a colon.
	Route, Repository, Branch string
	// Since has it look at the commits of that time and later, and not only at
	// those since the last audit.
	Since time.Time
	// Heal has it start what is missing.
	Heal bool
	// redeliver has hosts asked for what they could not deliver, whether or not
	// something is missing.
	redeliver bool
	// quiet leaves out repositories about which nobody can be asked.
	quiet bool
}

// narrow reports whether the query leaves out what an audit would look at, so
// that nothing can be concluded for the next one.
func (q *Query) narrow() bool { return q.Route != "" || q.Branch != "" || !q.Since.IsZero() }

// Verdict says how a commit stands.
type Verdict string

// The verdicts. One that has an execution or a reason is not reported.
const (
	Missing Verdict = "missing"
	Healed  Verdict = "healed"
)

// Finding is a commit, or the end of a branch or pull request, that a route asks
// for and that has no execution.
type Finding struct {
	Source      string  `json:"source"`
	Repository  string  `json:"repository"`
	Ref         string  `json:"ref"`
	PullRequest int     `json:"pull_request,omitempty"`
	SHA         string  `json:"sha"`
	Title       string  `json:"title,omitempty"`
	Author      string  `json:"author,omitempty"`
	Route       string  `json:"route"`
	Environment string  `json:"environment,omitempty"`
	Teardown    bool    `json:"teardown,omitempty"`
	Verdict     Verdict `json:"verdict"`
	// Execution is the name of the one that is missing, or that was started.
	Execution string `json:"execution"`
}

// Summary says what an audit of a repository came to.
type Summary struct {
	Source     string `json:"source"`
	Repository string `json:"repository"`
	// Branches and PullRequests are those that the host has, and Changed how many
	// of both were looked at because they were elsewhere before.
	Branches     int `json:"branches"`
	PullRequests int `json:"pull_requests"`
	Changed      int `json:"changed"`
	// Commits is how many commits of these were held against the journal.
	Commits int `json:"commits"`
	// Missing is how many executions were missing, and Healed how many of them
	// were asked for.
	Missing int `json:"missing"`
	Healed  int `json:"healed"`
	// Redelivered is how many deliveries the host was asked to send again.
	Redelivered int `json:"redelivered,omitempty"`
	// First is true for the first audit of a repository: what its branches had
	// by then is taken as known.
	First bool `json:"first,omitempty"`
	// Notes say for a person what could not be looked at.
	Notes []string `json:"notes,omitempty"`
	// Narrow is true for one that left out a part of the repository.
	Narrow bool `json:"narrow,omitempty"`
	// Error is why the audit could not be ended, empty when it was.
	Error string        `json:"error,omitempty"`
	Took  time.Duration `json:"took_ns"`

	// named is true where the repository has, or had, the branch of the query.
	named bool
}

// Report is told what an audit finds, one call at a time.
type Report struct {
	Finding func(Finding)
	Summary func(Summary)
}

// A query that names what there is not finds nothing missing, which must not look as if
// nothing were.
var (
	// ErrUnknownRepository says that no repository of the query's name is audited.
	ErrUnknownRepository = errors.New("no such repository is audited")
	// ErrUnknownRoute says that there is no route of the query's name.
	ErrUnknownRoute = errors.New("there is no such route")
	// ErrUnknownBranch says that none of the repositories has a branch of the query's
	// name.
	ErrUnknownBranch = errors.New("no audited repository has such a branch")
)

// parallel is how many repositories of one source are audited at once.
const parallel = 4

// Audit audits all repositories that the query names, those of one source a few
// at a time. Its error says why none could be; what befell one of them is in its
// summary.
func (a *Auditor) Audit(ctx context.Context, q Query, r Report) error {
	all, err := a.repositories(ctx)
	if err != nil {
		return fmt.Errorf("list the repositories to audit: %w", err)
	}
	if _, cfg := a.rules(); cfg.Retention > 0 && !q.Since.IsZero() && q.Since.Before(a.now().Add(-cfg.Retention)) {
		return fmt.Errorf("the journal keeps what happened for %v, and what came before would run again; audit since later", cfg.Retention)
	}
	if planner, _ := a.rules(); q.Route != "" && !planner.HasRoute(q.Route) {
		return fmt.Errorf("%w: %s; routes of the config in force are meant, by their names", ErrUnknownRoute, q.Route)
	}
	bySource := map[string][]Repository{}
	for _, repo := range all {
		if repo.Unable != nil && q.quiet {
			continue
		}
		if q.Repository == "" || q.Repository == repo.Name || q.Repository == repo.Source+":"+repo.Name {
			bySource[repo.Source] = append(bySource[repo.Source], repo)
		}
	}
	if len(bySource) == 0 && q.Repository != "" {
		return fmt.Errorf("%w: %s; routes, sources and deliveries name those that are", ErrUnknownRepository, q.Repository)
	}
	var mu sync.Mutex
	named := q.Branch == ""
	told := Report{
		Finding: func(f Finding) { mu.Lock(); defer mu.Unlock(); r.Finding(f) },
		Summary: func(s Summary) {
			mu.Lock()
			defer mu.Unlock()
			named = named || s.named || s.Error != ""
			r.Summary(s)
		},
	}
	var sources sync.WaitGroup
	for _, repos := range bySource {
		sources.Go(func() { a.source(ctx, repos, q, told) })
	}
	sources.Wait()
	if ctx.Err() == nil && !named && len(bySource) > 0 {
		return fmt.Errorf("%w: %s", ErrUnknownBranch, q.Branch)
	}
	return ctx.Err()
}

// source audits repositories of one source.
func (a *Auditor) source(ctx context.Context, repos []Repository, q Query, r Report) {
	next := make(chan Repository)
	var workers sync.WaitGroup
	for range min(parallel, len(repos)) {
		workers.Go(func() {
			for repo := range next {
				r.Summary(a.one(ctx, repo, q, r.Finding))
			}
		})
	}
	defer workers.Wait()
	defer close(next)
	for _, repo := range repos {
		select {
		case next <- repo:
		case <-ctx.Done():
			return
		}
	}
}

const (
	// mostWaits is how often a repository's audit is taken up again after its host
	// asked for fewer calls, and longestWait for how long it waits: others wait
	// behind it. The next audit goes on from there.
	mostWaits   = 10
	longestWait = 15 * time.Minute
)

// one audits a repository, and waits where its host asks for fewer calls. What
// was done by then is kept.
func (a *Auditor) one(ctx context.Context, repo Repository, q Query, report func(Finding)) Summary {
	began := a.now()
	if repo.Unable != nil {
		return Summary{Source: repo.Source, Repository: repo.Name, Error: repo.Unable.Error()}
	}
	leave, err := a.enter(ctx, key{repo.Source, repo.Name})
	if err != nil {
		return Summary{Source: repo.Source, Repository: repo.Name, Error: err.Error()}
	}
	defer leave()
	run := newRun(a, repo, q, report)
	for try := 0; ; try++ {
		err = a.guard(ctx, run)
		after, throttled := time.Duration(0), false
		if err != nil {
			after, throttled = a.throttled(err)
		}
		if !throttled || try == mostWaits || after > longestWait {
			break
		}
		a.log.Info("the host asks for fewer calls; the audit goes on later", zap.String("source", repo.Source),
			zap.String("repository", repo.Name), zap.Duration("wait", after))
		if !sleep(ctx, max(after, time.Second)) {
			break
		}
	}
	s := run.summary
	if err != nil {
		s.Error = err.Error()
		a.log.Warn("an audit could not be ended", zap.String("source", repo.Source), zap.String("repository", repo.Name), zap.Error(err))
	}
	s.Took = a.now().Sub(began)
	a.observer(s)
	return s
}

// guard turns a panic into an error: one repository must not end the service.
func (a *Auditor) guard(ctx context.Context, r *run) (err error) {
	defer func() {
		if v := recover(); v != nil {
			text := safetext.Cut(safetext.Line(fmt.Sprint(v)), maxPanic)
			a.log.Error("a panic was caught; this is a bug in Switchyard", zap.String("step", "audit"), zap.String("source", r.repo.Source),
				zap.String("repository", r.repo.Name), zap.String("panic", text), zap.ByteString("stack", debug.Stack()))
			err = fmt.Errorf("this is a bug in Switchyard, its log says more: %s", text)
		}
	}()
	return r.repository(ctx)
}

// maxPanic is how much of a panic's value is shown.
const maxPanic = 200

// enter waits until nobody else audits the repository.
func (a *Auditor) enter(ctx context.Context, k key) (leave func(), err error) {
	for {
		a.mu.Lock()
		other, taken := a.busy[k]
		if !taken {
			done := make(chan struct{})
			a.busy[k] = done
			a.mu.Unlock()
			return func() {
				a.mu.Lock()
				delete(a.busy, k)
				a.mu.Unlock()
				close(done)
			}, nil
		}
		a.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
