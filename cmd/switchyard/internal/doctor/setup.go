package doctor

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/config"
	"switchyard/dispatch/api"
)

// Setup is what is looked at, and by what.
type Setup struct {
	Config *config.Config
	// Hosts ask the git hosts of the config's sources.
	Hosts map[string]app.OpenHost
	// Repositories are those to look at, by source.
	Repositories map[string][]string
	// Told are those of them that deliveries told of.
	Told map[string][]string
	// Server is the URL of the service, and API calls it; nil without a token,
	// which NoToken says then.
	Server  string
	API     *api.Client
	NoToken error
	// Running says that the service answers at Server.
	Running bool
	// Deliver has each host send a test delivery.
	Deliver bool
	// AWS has more looked at there than what the engine needs.
	AWS bool

	HTTP *http.Client
	Now  func() time.Time
}

// Checks are all that there are for the set-up, in the order in which they are
// shown.
func (s *Setup) Checks() []Check {
	checks := []Check{s.files()}
	if s.Config.Serverless == nil {
		checks = append(checks, s.service(), s.publicURL())
	}
	for _, source := range slices.Sorted(maps.Keys(s.Config.Sources)) {
		checks = append(checks, s.source(source)...)
	}
	if s.Config.Serverless == nil {
		checks = append(checks, s.engine())
	}
	if s.Config.Engine.Embedded != nil {
		checks = append(checks, s.builds())
	}
	return append(checks, s.aws()...)
}

// needsService stands for what cannot be found out while the service does not run.
func needsService(check string) Result {
	return unknown(check, "the service does not run; start it with `switchyard serve` and look again")
}

// seen is a question that is asked once, whoever asks it first.
type seen[T any] struct {
	turn chan struct{}
	done bool
	ask  func(context.Context) (T, error)
	got  T
	err  error
}

func once[T any](ask func(context.Context) (T, error)) *seen[T] {
	return &seen[T]{turn: make(chan struct{}, 1), ask: ask}
}

func (q *seen[T]) get(ctx context.Context) (T, error) {
	select {
	case q.turn <- struct{}{}:
		defer func() { <-q.turn }()
	case <-ctx.Done():
		return q.got, ctx.Err()
	}
	if !q.done {
		q.got, q.err = q.ask(ctx)
		q.done = ctx.Err() == nil
	}
	return q.got, q.err
}

// LookForService finds out whether something answers at Server.
func (s *Setup) LookForService(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	_, _, err := s.fetch(ctx, s.Server+"/healthz")
	s.Running = err == nil
}

// answersWithin is how long a service may take to say that it is there.
const answersWithin = 5 * time.Second
