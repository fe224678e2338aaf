package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"switchyard/asl/api"
	"switchyard/asl/catalog"
	"switchyard/asl/engine"
	"switchyard/asl/objects"
	"switchyard/asl/store"
	"switchyard/asl/task"
	"switchyard/asl/task/events"
	"switchyard/asl/task/lambda"
	"switchyard/asl/task/mock"
	"switchyard/asl/task/sdk"
	"switchyard/build"
	"switchyard/config"
	"switchyard/dispatch/stepfn"
	"switchyard/internal/awsaccess"
	"switchyard/internal/datadir"
	"switchyard/internal/httpserver"
)

// Embedded is the engine of this process with all that it runs.
type Embedded struct {
	// API is the Step Functions API.
	API    *api.Server
	engine *engine.Engine
	builds *build.Handler
	store  *store.SQLite
	// access and forks are replaced by a reload.
	access *access
	forks  *forkCommits
	// approvals takes what state machines ask people.
	approvals *approvalRule

	closers
	log *zap.Logger
}

// newServer returns a server of the engine's API behind its door. Workers that
// wait for tasks don't keep it from shutting down.
func (e *Embedded) newServer(door *api.Door) *http.Server {
	s := httpserver.New(door)
	s.RegisterOnShutdown(e.engine.EndPolls)
	return s
}

// OpenEmbedded opens the engine whose data are in dir. Close gives it back.
func OpenEmbedded(ctx context.Context, dir string, cfg *config.Config, log *zap.Logger) (_ *Embedded, err error) {
	var undo closers
	defer func() {
		if err != nil {
			err = errors.Join(err, undo.close(log))
		}
	}()
	access, err := newAccess(cfg, &apis{})
	if err != nil {
		return nil, err
	}
	forks := newForkCommits(cfg)
	if err := datadir.Make(filepath.Join(dir, "builds")); err != nil {
		return nil, err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	local := buildConfig(cfg, filepath.Join(dir, "builds"))
	local.Hidden = append(local.Hidden, dir)
	approvals := &approvalRule{}
	var itself *sfn.Client // once there is an engine
	builds, options, err := taskHandlers(ctx, cfg, local, filepath.Join(dir, "programs"), approvals, func() *sfn.Client { return itself }, log, build.WithAccess(access), build.WithForkCommits(forks.known))
	if err != nil {
		return nil, err
	}
	undo.onStop("builds", builds.Close)
	if err := refuseForks(cfg, builds.Exposed()); err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.File(), err)
	}
	file := filepath.Join(dir, "engine.db")
	s, err := store.Open(ctx, file)
	if err != nil {
		return nil, err
	}
	undo.onStop("engine store", s.Close)
	options = append(options, engine.WithLogger(log))
	mocks, err := loadMocks(cfg)
	if err != nil {
		return nil, err
	}
	if mocks != nil {
		options = append(options, engine.WithMocks(mocks))
	}
	files, err := openObjects(cfg)
	if err != nil {
		return nil, err
	}
	if files != nil {
		undo.onStop("objects", files.Close)
		options = append(options, engine.WithObjects(files))
	}
	e, err := engine.New(s, engine.Config{Retention: time.Duration(cfg.Retention.Executions)}, options...)
	if err != nil {
		return nil, fmt.Errorf("engine store %s: %w", file, err)
	}
	server, err := api.New(e, api.WithLogger(log))
	if err != nil {
		return nil, err
	}
	itself = stepfn.DialEmbedded(server.Transport())
	return &Embedded{API: server, engine: e, builds: builds, store: s, access: access, forks: forks, approvals: approvals, closers: undo, log: log}, nil
}

// taskHandlers are what runs Task states on this machine. What belongs to
// programs that run is in the folder programs; "" keeps nothing of them.
func taskHandlers(ctx context.Context, cfg *config.Config, local build.Config, programs string, approvals *approvalRule, itself func() *sfn.Client, log *zap.Logger, opts ...build.Option) (*build.Handler, []engine.Option, error) {
	lambdas, err := functions(cfg, programs, log)
	if err != nil {
		return nil, nil, err
	}
	services, bus, err := awsServices(ctx, cfg.Engine.Embedded.AWS, itself)
	if err != nil {
		return nil, nil, err
	}
	builds, err := build.New(log, local, opts...)
	if err != nil {
		return nil, nil, err
	}
	return builds, append(services,
		engine.WithOrigin(build.OriginOf),
		engine.WithHandler(build.ResourceSync, builds),
		engine.WithHandler(lambda.ResourceInvoke, lambdas),
		engine.WithHandler(events.Resource, events.New(bus, approvals.rule())),
		engine.WithHandler("arn:*:lambda:*:function:*", lambdas),
	), nil
}

// awsServices are the handlers that call services of AWS: itself for Step
// Functions, and others where the config says how; and apart from them the one
// that calls EventBridge.
func awsServices(ctx context.Context, s *config.Services, itself func() *sfn.Client) (options []engine.Option, bus task.Handler, err error) {
	services := sdk.Config{StepFunctions: itself}
	if s != nil {
		const at = "engine.embedded.aws"
		loaded, err := awsaccess.Load(ctx, s.Settings())
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", at, err)
		}
		if loaded.Region == "" {
			return nil, nil, fmt.Errorf("%s.region: nothing says in which region the services are called; set it, or AWS_REGION", at)
		}
		services.AWS, services.Endpoint = &loaded, s.Endpoint
	}
	h := sdk.New(services)
	for _, pattern := range h.Patterns() {
		if pattern == events.Resource {
			bus = h
			continue
		}
		options = append(options, engine.WithHandler(pattern, h))
	}
	return options, bus, nil
}

// loadMocks reads those that the config names; nil for none.
func loadMocks(cfg *config.Config) (*mock.Config, error) {
	path := cfg.Engine.Embedded.Mocks
	if path == "" {
		return nil, nil
	}
	mocks, err := mock.Load(cfg.Resolve(path))
	if err != nil {
		return nil, fmt.Errorf("engine.embedded.mocks: %w", err)
	}
	return mocks, nil
}

// openObjects opens the folder that stands for S3; nil when there is none.
func openObjects(cfg *config.Config) (*objects.Dir, error) {
	name := cfg.Engine.Embedded.Objects
	if name == "" {
		return nil, nil
	}
	files, err := objects.Open(cfg.Resolve(name))
	if err != nil {
		return nil, fmt.Errorf("engine.embedded.objects: %w", err)
	}
	return files, nil
}

// TaskHandlers are what runs states on this machine by the config, for an engine
// that is made elsewhere: functions, projects, and objects of distributed Maps.
// Builds keep their data in dir. Close follows the end of the engine.
func TaskHandlers(cfg *config.Config, dir string, log *zap.Logger) (_ []engine.Option, closeAll func() error, _ error) {
	access, err := newAccess(cfg, &apis{})
	if err != nil {
		return nil, nil, err
	}
	files, err := openObjects(cfg)
	if err != nil {
		return nil, nil, err
	}
	closeFiles := func() error { return nil }
	if files != nil {
		closeFiles = files.Close
	}
	local := buildConfig(cfg, dir)
	local.Patience = time.Minute // somebody waits for the end
	builds, options, err := taskHandlers(context.Background(), cfg, local, "", &approvalRule{}, nil, log, build.WithAccess(access))
	if err != nil {
		return nil, nil, errors.Join(err, closeFiles())
	}
	if files != nil {
		options = append(options, engine.WithObjects(files))
	}
	return options, func() error { return errors.Join(builds.Close(), closeFiles()) }, nil
}

// Run moves executions on until ctx ends, and returns after the last task.
func (e *Embedded) Run(ctx context.Context) error {
	upkeepCtx, stop := context.WithCancel(ctx)
	var g errgroup.Group
	g.Go(func() error { return e.builds.Upkeep(upkeepCtx) })
	err := e.engine.Run(ctx)
	stop()
	return errors.Join(err, g.Wait())
}

// Close gives the data folder back. Run must have returned.
func (e *Embedded) Close() error { return e.close(e.log) }

// register makes the state machines exist as their definitions say, by name:
// all of them, or none. Executions that run keep the definition they started
// with.
func (e *Embedded) register(ctx context.Context, definitions map[string]string) error {
	var wanted []catalog.NewMachine
	for _, name := range slices.Sorted(maps.Keys(definitions)) {
		wanted = append(wanted, catalog.NewMachine{Name: name, Definition: definitions[name], RoleARN: localRole})
	}
	if _, err := e.engine.Catalog().PutMachines(ctx, wanted); err != nil {
		return fmt.Errorf("state_machines: %w", err)
	}
	return nil
}

func machineARN(name string) string {
	return "arn:aws:states:" + stepfn.EmbeddedRegion + ":" + stepfn.EmbeddedAccount + ":stateMachine:" + name
}

// localRole stands in the context object of executions; nothing checks it.
const localRole = "arn:aws:iam::123456789012:role/switchyard"

// followLog copies what an execution's builds print until they have ended.
// An execution without builds has an empty log.
func (e *Embedded) followLog(ctx context.Context, execution string, w io.Writer) error {
	err := e.builds.Follow(ctx, execution, w)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// shownLog is more than a page shows of the end of one log, in bytes.
const shownLog = 256 << 10

// copyLog copies the end of what each of an execution's builds has printed so
// far: a page that reloads must not read all of a long log each time.
func (e *Embedded) copyLog(_ context.Context, execution string, w io.Writer) error {
	logs, err := e.builds.Logs(execution)
	for _, l := range logs {
		if err == nil {
			err = e.copyEnd(execution, l, w)
		}
	}
	return err
}

func (e *Embedded) copyEnd(execution string, log build.LogInfo, w io.Writer) error {
	r, err := e.builds.OpenLog(execution, log.TaskID)
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := r.Seek(max(0, log.Size-shownLog), io.SeekStart); err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return err
}

// RunEngine serves the engine alone until ctx ends, on engine.embedded.listen of
// cfg and with its data in dir.
func RunEngine(ctx context.Context, dir string, cfg *config.Config, log *zap.Logger) (err error) {
	data, err := datadir.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, data.Close()) }()
	e, err := OpenEmbedded(ctx, dir, cfg, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	for _, w := range e.store.File().Warnings() {
		log.Warn("the data folder is not as it was left", zap.String("warning", w))
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", cfg.Engine.Embedded.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	if err := checkReach(l, cfg); err != nil {
		return errors.Join(fmt.Errorf("--listen: %w: give --keys, or listen on 127.0.0.1", err), l.Close())
	}
	door, err := e.newDoor(cfg, dir)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	server := e.newServer(door)
	engineCtx, stopEngine := context.WithCancel(context.WithoutCancel(ctx))
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return e.Run(engineCtx) })
	g.Go(func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve %s: %w", l.Addr(), err)
		}
		return nil
	})
	g.Go(func() error {
		defer stopEngine()
		<-gctx.Done()
		return shutdown([]*http.Server{server})
	})
	log.Info("engine ready", zap.Stringer("listen", l.Addr()), zap.String("data", dir), zap.Bool("keys", cfg.Engine.Embedded.Auth != config.AuthNone))
	return g.Wait()
}
