// Package codecommit asks the API of AWS CodeCommit.
//
// [Client] knows how fast it may ask and what the answers mean; as a
// [dispatch.Host] it completes what deliveries left out, which is nearly all:
// an event of CodeCommit names the tip of a branch and nothing else. Facts are
// from the API reference and from "Quotas in AWS CodeCommit".
package codecommit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"golang.org/x/time/rate"

	"switchyard/dispatch"
	"switchyard/internal/awsaccess"
)

const (
	// DefaultRate and DefaultBurst are how fast a region is asked. All callers
	// of an account share its quota in a region, whose size AWS does not tell.
	DefaultRate  = 20
	DefaultBurst = 40
	// DefaultMaxCommits is for how many commits of one push the API is asked.
	DefaultMaxCommits = 100_000
	// tries is how often one call is made that is throttled or fails in passing.
	tries = 5
)

// Config is what an operator sets.
type Config struct {
	// Source is the name under sources in the config. Errors name the keys
	// below it.
	Source string
	// Settings say as whom, and in which region, the API is called.
	awsaccess.Settings
	// Endpoint replaces the service's own, for a VPC endpoint: a URL.
	Endpoint string
	// CloneBase is the https URL below which repositories are cloned, which lists
	// their branches to git. Default: the region's own.
	CloneBase string
	// MaxCommits is how many commits a push may bring. Default
	// [DefaultMaxCommits].
	MaxCommits int
}

// Option replaces what a test or the wiring may replace.
type Option func(*Client)

// WithPace sets what bounds the calls per second, so that those of one region
// share it. Default: one of its own, with [DefaultRate] and [DefaultBurst].
func WithPace(l *rate.Limiter) Option { return func(c *Client) { c.pace = l } }

// WithAPI replaces the SDK's client, which Config then says nothing of but its
// region.
func WithAPI(api *codecommit.Client) Option { return func(c *Client) { c.api = api } }

// WithGitTransport replaces what carries questions in git's own protocol.
func WithGitTransport(t http.RoundTripper) Option { return func(c *Client) { c.git = t } }

// WithFirstWait replaces how long is waited before a call is made again, on
// average: half a second, and then twice as long each time.
func WithFirstWait(d time.Duration) Option { return func(c *Client) { c.firstWait = d } }

// WithClock replaces time.Now for what the client remembers.
func WithClock(now func() time.Time) Option { return func(c *Client) { c.now = now } }

// Client asks for the repositories of one region. It is safe for concurrent
// use.
type Client struct {
	cfg    Config
	api    *codecommit.Client
	pace   *rate.Limiter
	now    func() time.Time
	loaded aws.Config
	git    http.RoundTripper
	known  *commitCache
	// firstWait is before the second try of a call, on average.
	firstWait time.Duration

	mu sync.Mutex
	// created are the branches whose creation was asked about lately, by
	// repository and name.
	created map[[2]string]time.Time
}

// New loads credentials and settings, and calls nobody.
func New(ctx context.Context, cfg Config, opts ...Option) (*Client, error) {
	if cfg.MaxCommits == 0 {
		cfg.MaxCommits = DefaultMaxCommits
	}
	c := &Client{cfg: cfg, now: time.Now, known: newCommitCache(cacheBytes), firstWait: 500 * time.Millisecond, created: map[[2]string]time.Time{}}
	for _, f := range opts {
		f(c)
	}
	if c.pace == nil {
		c.pace = rate.NewLimiter(DefaultRate, DefaultBurst)
	}
	if c.api == nil {
		loaded, err := awsaccess.Load(ctx, cfg.Settings)
		if err != nil {
			return nil, fmt.Errorf("codecommit: %w", err)
		}
		if loaded.Region == "" {
			return nil, fmt.Errorf("codecommit: no region; set sources.%s.region or AWS_REGION", cfg.Source)
		}
		c.cfg.Region, c.loaded = loaded.Region, loaded
		// It trusts what AWS_CA_BUNDLE says.
		if own, ok := loaded.HTTPClient.(interface{ GetTransport() *http.Transport }); ok && c.git == nil {
			c.git = own.GetTransport()
		}
		c.api = codecommit.NewFromConfig(loaded, func(o *codecommit.Options) {
			if cfg.Endpoint != "" {
				o.BaseEndpoint = &cfg.Endpoint
			}
		})
	}
	return c, nil
}

// API is the SDK's client, to be called through [Ask].
func (c *Client) API() *codecommit.Client { return c.api }

// Ask makes one call at the client's pace, and makes it again where it was
// throttled or failed in passing. Its error is the SDK's: [Client.Verdict] says
// what that means.
func Ask[I, O any](ctx context.Context, c *Client, call func(context.Context, *I, ...func(*codecommit.Options)) (*O, error), in *I) (*O, error) {
	wait := c.firstWait
	for try := 1; ; try++ {
		if err := c.pace.Wait(ctx); err != nil {
			return nil, &outOfTimeError{err}
		}
		out, err := call(ctx, in)
		if err == nil || try == tries || ctx.Err() != nil || !passing(err) {
			return out, err
		}
		timer := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, err
		case <-timer.C:
		}
		wait *= 2
	}
}

// outOfTimeError says that a call was not begun, since it could not end before
// ctx does.
type outOfTimeError struct{ error }

func (e *outOfTimeError) Unwrap() error { return e.error }

func outOfTime(err error) bool { return errors.As(err, new(*outOfTimeError)) }

var (
	// repositoryName is what the API takes. It also keeps a name from walking
	// to another path of a URL.
	repositoryName = regexp.MustCompile(`^[\w.-]{1,100}$`)
	objectID       = regexp.MustCompile(`^[0-9a-f]{40}(?:[0-9a-f]{24})?$`)
)

// Check refuses what cannot name a repository and commits, with a
// [*dispatch.PermanentError].
func Check(repository string, shas ...string) error {
	if !repositoryName.MatchString(repository) {
		return &dispatch.PermanentError{Err: fmt.Errorf("%q is not the name of a CodeCommit repository", repository)}
	}
	for _, sha := range shas {
		if !objectID.MatchString(sha) {
			return &dispatch.PermanentError{Err: fmt.Errorf("%q is not a commit ID", sha)}
		}
	}
	return nil
}

// console is the page of a commit in the AWS console.
func (c *Client) console(repository, sha string) string {
	region := c.cfg.Region
	host := region + ".console.aws.amazon.com"
	switch {
	case strings.HasPrefix(region, "cn-"):
		host = region + ".console.amazonaws.cn"
	case strings.HasPrefix(region, "us-gov-"):
		host = region + ".console.amazonaws-us-gov.com"
	}
	return "https://" + host + "/codesuite/codecommit/repositories/" + repository + "/commit/" + sha + "?region=" + region
}
