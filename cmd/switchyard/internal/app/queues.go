package app

import (
	"context"
	"fmt"
	"sync"

	"switchyard/config"
	"switchyard/webhook/sns"
	"switchyard/webhook/sqs"
)

// queues asks the queues of the config for messages. A reload replaces them: the
// old ones finish what they have begun.
type queues struct {
	mu      sync.Mutex
	pollers []*sqs.Poller
	// run is set while the service runs, and ends the pollers of before.
	run  context.Context
	end  context.CancelFunc
	done sync.WaitGroup
}

// prepare makes pollers of the config's queues. The function it returns switches
// to them.
func (q *queues) prepare(a *App, cfg *config.Config) (apply func(), err error) {
	var pollers []*sqs.Poller
	for _, c := range cfg.Queues() {
		p, err := a.newPoller(cfg, c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Key, err)
		}
		pollers = append(pollers, p)
	}
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.end != nil {
			q.end()
		}
		q.pollers = pollers
		q.begin()
	}, nil
}

func (a *App) newPoller(cfg *config.Config, c config.Queue) (*sqs.Poller, error) {
	decoder, err := sns.Unwrap(engineEvents{told: a.told})
	if !c.StatusEvents {
		decoder, err = CodeCommitMessages(cfg, c.Source, a.told)
	}
	if err != nil {
		return nil, err
	}
	client, err := sqs.Dial(context.Background(), c.Access, c.Config.Queue)
	if err != nil {
		return nil, err
	}
	return sqs.New(c.Source, client, decoder, a.dispatcher, c.Config, sqs.WithLogger(a.log), sqs.WithObserver(a.metrics.answered))
}

// start has the pollers run until ctx ends; wait returns when all have ended.
func (q *queues) start(ctx context.Context) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.run = ctx
	q.begin()
}

// begin runs the pollers, once the service runs. The caller holds mu.
func (q *queues) begin() {
	if q.run == nil || q.run.Err() != nil {
		return
	}
	ctx, end := context.WithCancel(q.run)
	q.end = end
	for _, p := range q.pollers {
		q.done.Go(func() { p.Run(ctx) })
	}
}

func (q *queues) wait() {
	q.mu.Lock() // no reload begins more meanwhile
	defer q.mu.Unlock()
	q.done.Wait()
}
