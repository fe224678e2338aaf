// Package app joins the rooms into the running service: it builds each from the
// config, hands them to one another, and stops them in order.
package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	engineapi "switchyard/asl/api"
	"switchyard/audit"
	"switchyard/config"
	"switchyard/dispatch"
	"switchyard/dispatch/api"
	"switchyard/dispatch/journal"
	"switchyard/dispatch/status"
	"switchyard/dispatch/stepfn"
	"switchyard/internal/awssecret"
	"switchyard/internal/calmlog"
	"switchyard/internal/datadir"
	"switchyard/internal/httpserver"
	"switchyard/router"
	"switchyard/ui"
	"switchyard/ui/dashboard"
	"switchyard/webhook"
)

// grace is how long answers under way may take once the service stops.
const grace = 10 * time.Second

// hintTimeout is how long a status event waits while many are under way. EventBridge
// gives up after 5 s.
const hintTimeout = 3 * time.Second

// App is one service. Reload may be called while it runs; nothing else is safe
// for concurrent use.
type App struct {
	log     *zap.Logger
	dir     string // data_dir
	key     string // of links and proofs
	data    *datadir.Dir
	metrics *metrics
	closers

	embedded   *Embedded  // nil with AWS
	cloudLogs  *cloudLogs // nil with the embedded engine
	engine     *stepfn.Client
	journal    *journal.SQLite
	dispatcher *dispatch.Dispatcher
	statuses   *status.Worker
	pages      *ui.Pages
	board      *dashboard.Dashboard
	tracer     *tracer
	budget     *webhook.Budget // of all deliveries, also over a reload
	hosts      hosts
	inForce    atomic.Pointer[router.Router]
	auditor    *audit.Auditor
	queues     queues
	apis       apis

	callTimeout time.Duration // of each call to Step Functions; 0 for the default

	cfg      *config.Config // the one that New was given
	reloader *reloader
	faces    atomic.Pointer[faces]

	public, port net.Listener    // port is the engine's own, nil when not asked for
	door         *engineapi.Door // of the port
	ready        atomic.Bool
	notReady     *calmlog.Failures
}

// Option replaces what the command line or a test provides.
type Option func(*settings)

type settings struct {
	version       string
	engineTimeout time.Duration
	secrets       func() awssecret.Stats
}

// WithVersion says which version runs, for traces.
func WithVersion(v string) Option { return func(s *settings) { s.version = v } }

// WithEngineTimeout bounds each call to Step Functions; 0 means the
// dispatcher's default.
func WithEngineTimeout(d time.Duration) Option { return func(s *settings) { s.engineTimeout = d } }

// WithSecretStats shows in the metrics how fresh the secrets are that are read
// from AWS.
func WithSecretStats(stats func() awssecret.Stats) Option {
	return func(s *settings) { s.secrets = stats }
}

// New opens everything that the config names and binds its ports. Nothing runs
// before Run, which also closes everything; without Run, call Close.
func New(ctx context.Context, cfg *config.Config, log *zap.Logger, opts ...Option) (_ *App, err error) {
	set := settings{version: "dev"}
	for _, opt := range opts {
		opt(&set)
	}
	a := &App{log: log, dir: cfg.Resolve(cfg.DataDir), cfg: cfg, metrics: newMetrics(log),
		notReady: calmlog.New(log, "not ready", "ready again")}
	a.hosts.apis = &a.apis
	if set.secrets != nil {
		a.metrics.watchSecrets(set.secrets)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if a.data, err = datadir.Open(a.dir); err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	a.onStop("data folder", a.data.Close)
	if a.tracer, err = newTracer(ctx, cfg.Tracing.Endpoint, cfg.Tracing.Ratio, set.version, log); err != nil {
		return nil, err
	}
	a.onStop("tracing", a.tracer.close)
	a.callTimeout = set.engineTimeout
	if err := a.openEngine(ctx); err != nil {
		return nil, err
	}
	if a.journal, err = journal.Open(filepath.Join(a.dir, "journal.db")); err != nil {
		return nil, err
	}
	a.onStop("journal", a.journal.Close)
	if a.embedded != nil {
		a.embedded.forks.use(a.journal.Holders)
	}
	if err := a.joinFiles(); err != nil {
		return nil, err
	}
	if err := a.openDispatch(); err != nil {
		return nil, err
	}
	if err := a.listen(); err != nil {
		return nil, err
	}
	if err := a.openFaces(); err != nil {
		return nil, err
	}
	a.reloader = &reloader{refuse: refuseRestart, parts: a.parts(), store: a.storeStateMachines, cfg: cfg}
	return a, nil
}

// Close gives back what New opened, for an App that is not run.
func (a *App) Close() error { return a.close(a.log) }

func (a *App) openEngine(ctx context.Context) error {
	var dial stepfn.Dialer
	if access, ok := a.cfg.AWSAccess(); ok {
		var err error
		if dial, err = stepfn.Dial(ctx, access); err != nil {
			return fmt.Errorf("engine.aws: %w", err)
		}
	} else {
		var err error
		if a.embedded, err = OpenEmbedded(ctx, a.dir, a.cfg, a.log); err != nil {
			return err
		}
		a.onStop("embedded engine", a.embedded.Close)
		dial = stepfn.One(stepfn.DialEmbedded(a.embedded.API.Transport()))
	}
	err := a.storeStateMachines(ctx, a.cfg)
	if err == nil {
		a.engine, err = stepfn.New(dial, stepfn.Config{StateMachines: a.machines(a.cfg)})
	}
	return err
}

// machines are the config's state machines by name.
func (a *App) machines(cfg *config.Config) map[string]stepfn.Machine {
	machines := stateMachines(cfg)
	if a.embedded != nil {
		for name := range machines {
			machines[name] = stepfn.Machine{ARN: machineARN(name)}
		}
	}
	return machines
}

// storeStateMachines makes the embedded engine hold the config's state
// machines, all or none.
func (a *App) storeStateMachines(ctx context.Context, cfg *config.Config) error {
	if a.embedded == nil {
		return nil
	}
	definitions := map[string]string{}
	for name := range cfg.StateMachines {
		text, err := cfg.Definition(name)
		if err != nil {
			return err
		}
		definitions[name] = text
	}
	return a.embedded.register(ctx, definitions)
}

// planner is the config's router. What its routes can hardly mean is logged.
func (a *App) planner(cfg *config.Config) (*router.Router, error) {
	routes, err := router.New(cfg.RouterConfig())
	if err != nil {
		return nil, err
	}
	for _, w := range routes.Warnings() {
		a.log.Warn("route can hardly mean this", zap.String("warning", w))
	}
	return routes, nil
}

func (a *App) openDispatch() error {
	routes, err := a.planner(a.cfg)
	if err != nil {
		return err
	}
	known, err := a.hosts.prepare(a.cfg)
	if err != nil {
		return err
	}
	known()
	a.dispatcher, err = dispatch.New(a.journal, a.engine, routes, a.dispatchConfig(a.cfg),
		dispatch.WithLogger(a.log), dispatch.WithObserver(a.metrics), dispatch.WithTracer(a.tracer), dispatch.WithHost(&a.hosts), dispatch.WithCommander(&a.hosts), dispatch.WithCompare(a.hosts.compare))
	if err != nil {
		return err
	}
	if a.embedded != nil {
		a.embedded.approvals.use(a.dispatcher.AskApproval)
	}
	a.inForce.Store(routes)
	a.auditor = a.newAuditor()
	a.metrics.watchDepth(a.dispatcher.Depth)
	if a.embedded != nil {
		a.metrics.watchBuilds(a.embedded.builds.Room)
	}
	a.metrics.counter("switchyard_deliveries_incomplete_total", "Deliveries that went on without what their host did not tell.",
		func() float64 { return float64(a.dispatcher.Stats().Incomplete) })
	a.metrics.counter("switchyard_journal_appended_deliveries_total", "Deliveries made durable.",
		func() float64 { return float64(a.journal.Stats().Appended) })
	a.metrics.counter("switchyard_journal_append_commits_total", "Commits, each with one fsync, that made deliveries durable.",
		func() float64 { return float64(a.journal.Stats().AppendCommits) })
	if a.embedded != nil {
		a.metrics.counter("switchyard_build_mirror_checks_total", "Checks of mirrors that found nothing.",
			func() float64 { good, _ := a.embedded.builds.MirrorChecks(); return float64(good) })
		a.metrics.counter("switchyard_build_mirrors_damaged_total", "Checks of mirrors that found damage.",
			func() float64 { _, damaged := a.embedded.builds.MirrorChecks(); return float64(damaged) })
	}
	return nil
}

// openFaces builds what answers people and hosts.
func (a *App) openFaces() error {
	var err error
	if a.key, err = secretFile(a.dir, keyFile); err != nil {
		return err
	}
	pageOpts := []ui.Option{ui.WithLogger(a.log), ui.WithForkBuilds(a.cfg.ForkBuilds()), ui.WithHistory(a.dispatcher.History), ui.WithReasons(a.dispatcher.Reasons),
		ui.WithApprovals(a.dispatcher, func(token string) bool { return a.faces.Load().api.Accepts(token) })}
	if access, ok := a.cfg.AWSAccess(); ok {
		a.cloudLogs = newCloudLogs(access, a.engine, a.dispatcher)
		pageOpts = append(pageOpts, ui.WithLogs(a.cloudLogs.tail), ui.WithEngineLink(stepfn.ConsoleLink))
	} else {
		pageOpts = append(pageOpts, ui.WithLogs(a.embedded.copyLog))
	}
	if a.pages, err = ui.New(a.dispatcher, baseURL(a.cfg, a.public.Addr()), []byte(a.key), pageOpts...); err != nil {
		return err
	}
	if a.board, err = a.openBoard(); err != nil {
		return err
	}
	a.apis.describe = a.newDetails().describe
	posters, err := posters(a.cfg, &a.apis)
	if err != nil {
		return err
	}
	if a.statuses, err = status.New(a.journal, posters, status.Config{Link: a.statusLink()}, status.WithLogger(a.log)); err != nil {
		return err
	}
	a.metrics.watchStatuses(a.statuses.Stats)
	f, err := a.newFaces(a.cfg)
	if err != nil {
		return err
	}
	a.faces.Store(f)
	polled, err := a.queues.prepare(a, a.cfg)
	if err != nil {
		return err
	}
	polled()
	return nil
}

// statusLink gives the address that a commit status links to: the execution's page
// or, where the config asks for it, the AWS console once it has started and while
// it waits for nobody.
func (a *App) statusLink() func(execution string) string {
	aws := a.cfg.Engine.AWS
	if aws == nil || aws.StatusLinks != "console" {
		return a.pages.Link
	}
	return func(execution string) string {
		ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
		defer cancel()
		if x, err := a.dispatcher.Execution(ctx, execution); err == nil && x.ARN != "" && x.WaitsFor == "" {
			return stepfn.ConsoleLink(x.ARN)
		}
		return a.pages.Link(execution)
	}
}

// faces are the parts of the HTTP face that a reload replaces, together.
type faces struct {
	webhook *webhook.Handler
	api     *api.API
}

func (a *App) newFaces(cfg *config.Config) (*faces, error) {
	all, err := sources(cfg, a.told)
	if err != nil {
		return nil, err
	}
	if a.budget == nil {
		a.budget = webhook.NewBudget(bodyBudget(debug.SetMemoryLimit(-1), int64(cfg.Limits.Body)))
	}
	hooks, err := webhook.New(a.dispatcher, all, cfg.WebhookConfig(),
		webhook.WithLogger(a.log), webhook.WithObserver(a.metrics.answered), webhook.WithBudget(a.budget))
	if err != nil {
		return nil, err
	}
	if len(cfg.Server.APITokens) == 0 {
		if _, err := secretFile(a.dir, TokenFile); err != nil {
			return nil, err
		}
	}
	tokens, err := APITokens(cfg)
	if err != nil {
		return nil, err
	}
	var follow api.Follower
	if a.embedded != nil {
		follow = a.embedded.followLog
	} else {
		follow = a.cloudLogs.follow
	}
	opts := []api.Option{api.WithLogger(a.log), api.WithLogs(follow), api.WithLinks(a.pages.ApprovalLink), api.WithSignIn(a.board.SignInLink), a.audits()}
	calls, err := api.New(a.dispatcher, starter(slices.Sorted(maps.Keys(cfg.StateMachines))), api.Config{Tokens: tokens}, opts...)
	if err != nil {
		return nil, err
	}
	return &faces{webhook: hooks, api: calls}, nil
}

// APITokens are the tokens of the config or, where it names none, the one that
// the service made for itself in its data folder.
func APITokens(cfg *config.Config) ([]string, error) {
	if len(cfg.Server.APITokens) > 0 {
		return cfg.Server.APITokens.Reveal(), nil
	}
	token, err := readSecretFile(cfg.Resolve(cfg.DataDir), TokenFile)
	if err != nil {
		return nil, fmt.Errorf("no server.api_tokens in the config, and the service's own token: %w", err)
	}
	return []string{token}, nil
}

func (a *App) listen() (err error) {
	var lc net.ListenConfig
	if a.public, err = lc.Listen(context.Background(), "tcp", a.cfg.Server.Listen); err != nil {
		return fmt.Errorf("server.listen: %w", err)
	}
	a.onStop("listener", ignoreClosed(a.public.Close))
	if a.embedded == nil || a.cfg.Engine.Embedded.Listen == "" {
		return nil
	}
	if a.port, err = lc.Listen(context.Background(), "tcp", a.cfg.Engine.Embedded.Listen); err != nil {
		return fmt.Errorf("engine.embedded.listen: %w", err)
	}
	a.onStop("engine's listener", ignoreClosed(a.port.Close))
	if err := checkReach(a.port, a.cfg); err != nil {
		return fmt.Errorf("engine.embedded.listen: %w: leave engine.embedded.auth out, or listen on 127.0.0.1", err)
	}
	a.door, err = a.embedded.newDoor(a.cfg, a.dir)
	return err
}

// ignoreClosed makes closing what a server has closed already no error.
func ignoreClosed(f func() error) func() error {
	return func() error {
		if err := f(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

// Addr is where the HTTP face listens, EngineAddr where the engine's API does,
// nil when it does not.
func (a *App) Addr() net.Addr { return a.public.Addr() }

// EngineAddr is nil when the engine has no port of its own.
func (a *App) EngineAddr() net.Addr {
	if a.port == nil {
		return nil
	}
	return a.port.Addr()
}

// Dispatcher is for a caller in the same process, such as the demo.
func (a *App) Dispatcher() *dispatch.Dispatcher { return a.dispatcher }

// Run serves until ctx ends, then stops: first the listeners, then answers
// under way, then the workers, then the engine, and the journal last.
func (a *App) Run(ctx context.Context) error {
	defer a.ready.Store(false)
	g, gctx := errgroup.WithContext(ctx)
	// Workers outlive the answers, since an answer may wait for the journal;
	// the engine outlives the workers, since they call it.
	workCtx, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	engineCtx, stopEngine := context.WithCancel(context.WithoutCancel(ctx))
	defer stopEngine()
	defer stopWork()

	if a.embedded != nil {
		g.Go(func() error { return a.embedded.Run(engineCtx) })
	}
	work, workCtx := errgroup.WithContext(workCtx)
	work.Go(func() error { return a.dispatcher.Run(workCtx) })
	work.Go(func() error { return a.statuses.Run(workCtx) })
	if a.embedded != nil {
		stopHints := a.embedded.engine.OnStatusChange(a.hint(workCtx))
		defer stopHints()
	}
	g.Go(func() error { defer stopEngine(); return work.Wait() })

	servers := []*http.Server{httpserver.New(a.routes())}
	servers[0].RegisterOnShutdown(a.board.Close)
	listeners := []net.Listener{a.public}
	if a.port != nil {
		servers, listeners = append(servers, a.embedded.newServer(a.door)), append(listeners, a.port)
	}
	// A worker or server that fails ends gctx, and so stops all.
	for i, s := range servers {
		g.Go(func() error {
			if err := s.Serve(listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve %s: %w", listeners[i].Addr(), err)
			}
			return nil
		})
	}
	g.Go(func() error {
		defer stopWork()
		a.queues.start(gctx)
		<-gctx.Done()
		a.ready.Store(false)
		err := shutdown(servers)
		a.queues.wait()
		return err
	})
	g.Go(func() error {
		newHookCatchUp(a.reloader.current, a.log).Run(gctx)
		return nil
	})
	g.Go(func() error {
		a.auditor.Run(gctx)
		return nil
	})
	a.ready.Store(true)
	a.log.Info("ready", zap.Stringer("listen", a.public.Addr()), zap.String("data_dir", a.dir))
	if a.port != nil {
		a.log.Info("the engine's port is open", zap.Stringer("listen", a.port.Addr()), zap.String("auth", cmp.Or(a.cfg.Engine.Embedded.Auth, config.AuthKeys)))
	}
	err := g.Wait()
	return errors.Join(err, a.Close())
}

func shutdown(servers []*http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	var errs []error
	for _, s := range servers {
		if err := s.Shutdown(ctx); err != nil {
			errs = append(errs, s.Close()) // what still streams, such as a log, is cut off
		}
	}
	return errors.Join(errs...)
}

// hint hands the engine's status events to the dispatcher.
func (a *App) hint(ctx context.Context) func([]byte) {
	return func(text []byte) {
		outcome, err := stepfn.DecodeStatusChange(text)
		if err == nil {
			err = a.dispatcher.Observe(ctx, outcome)
		}
		if err != nil && ctx.Err() == nil {
			a.log.Warn("status change not taken; polling will find it", zap.Error(err))
		}
	}
}
