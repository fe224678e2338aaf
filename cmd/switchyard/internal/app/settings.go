package app

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.uber.org/zap"

	"switchyard/asl/task/exec"
	"switchyard/asl/task/http"
	"switchyard/asl/task/lambda"
	"switchyard/build"
	"switchyard/config"
	"switchyard/dispatch"
)

// The embedded engine can be asked as often as one likes; AWS throttles
// DescribeExecution at 10 to 15 calls a second.
const (
	embeddedPollEvery = 5 * time.Second
	embeddedPollRate  = 2000
	awsPollEvery      = 15 * time.Second
	awsPollRate       = 8
)

// dispatchConfig adds to the operator's settings what depends on the engine.
func (a *App) dispatchConfig(cfg *config.Config) dispatch.Config {
	c := cfg.DispatchConfig()
	c.CallTimeout = a.callTimeout
	if cfg.Engine.AWS == nil {
		c.PollEvery, c.PollRate = embeddedPollEvery, embeddedPollRate
	} else {
		c.PollEvery, c.PollRate = awsPollEvery, awsPollRate
	}
	return c
}

// buildConfig is what local builds in dir need.
func buildConfig(cfg *config.Config, dir string) build.Config {
	c := build.Config{
		DataDir: dir, MaxParallel: cfg.Engine.Embedded.MaxBuilds, KeepLogs: time.Duration(cfg.Retention.Executions),
		Projects: map[string]build.Project{},
	}
	b := cfg.Engine.Embedded.Builds
	c.Region = b.Region
	c.CheckMirrors, c.KeepMirrors = time.Duration(b.CheckMirrors), time.Duration(b.KeepMirrors)
	c.Isolation, c.Visible, c.Writable, c.MaxDisk = b.Isolation, b.Visible, b.Writable, int64(b.Disk)
	c.MaxMemory = cmp.Or(int64(b.Memory), buildMemory(os.DirFS("/")))
	c.MaxCache = int64(b.Cache)
	c.MaxProcesses, c.MaxOpenFiles = b.Processes, b.OpenFiles
	c.Reserve = int64(b.Reserve)
	c.MaxArtifactBytes, c.MaxArtifactFiles, c.MaxLogBytes = int64(b.Artifacts), b.ArtifactFiles, int64(b.Log)
	if b.Container != nil {
		c.Container = build.Container{Runtime: b.Container.Runtime, Image: b.Container.Image}
	}
	for _, file := range slices.Concat(cfg.Files(), cfg.BuildSecretFiles()) {
		if path, err := filepath.Abs(file); err == nil {
			c.Hidden = append(c.Hidden, path)
		}
	}
	for name, p := range cfg.Engine.Embedded.Projects {
		c.Projects[name] = build.Project{
			CloneURL: p.Repository, Buildspec: p.Buildspec, Env: p.Environment, Timeout: time.Duration(p.Timeout),
			Image: p.Image, Network: p.Network, Submodules: p.Submodules, ForkNetwork: p.ForkNetwork, Secrets: cfg.BuildSecrets(name),
		}
	}
	return c
}

// refuseForks refuses a config that takes what strangers write while builds run
// without isolation; exposed says why they do, and is "" when they don't.
func refuseForks(cfg *config.Config, exposed string) error {
	if exposed == "" {
		return nil
	}
	for i := range cfg.Routes {
		if r := &cfg.Routes[i]; r.TakesForks() {
			return fmt.Errorf("routes[%d].forks: %s runs what strangers write, which needs isolated builds, and here builds are not: %s; repair that, or set forks to never", i, r.Forks, exposed)
		}
	}
	return nil
}

// functions are what Lambda names stand for on this machine. What programs are
// given and answer is kept in the folder programs until it is stored, unless
// that is "".
func functions(cfg *config.Config, programs string, log *zap.Logger) (*lambda.Handler, error) {
	all := map[string]lambda.Function{}
	for name, f := range cfg.Engine.Embedded.Functions {
		var made lambda.Function
		var err error
		if f.HTTP != "" {
			headers := make(map[string]string, len(f.Headers))
			for key, value := range f.Headers {
				headers[key] = value.Reveal()
			}
			made, err = http.New(http.Config{URL: f.HTTP, Headers: headers, Timeout: time.Duration(f.Timeout)})
		} else {
			made, err = exec.New(log, exec.Config{Command: f.Exec, Env: f.Environment, Timeout: time.Duration(f.Timeout), StateDir: programs})
		}
		if err != nil {
			return nil, fmt.Errorf("engine.embedded.functions.%s: %w", name, err)
		}
		all[name] = made
	}
	return lambda.New(all)
}

// baseURL is where people reach the service: as configured, else where it
// listens.
func baseURL(cfg *config.Config, listening net.Addr) string {
	if cfg.Server.PublicURL != "" {
		return cfg.Server.PublicURL
	}
	return "http://" + listening.String()
}

// refuseRestart refuses a config that differs from the old one in what cannot
// change while the service runs.
func refuseRestart(old, changed *config.Config) error {
	if keys := needsRestart(old, changed); len(keys) > 0 {
		return fmt.Errorf("a change of %v needs a restart; nothing was applied", keys)
	}
	return nil
}

// needsRestart names the keys that differ and cannot change while the service
// runs.
func needsRestart(old, changed *config.Config) []string {
	var keys []string
	engine, _ := changed.EngineChanged(old)
	for key, differs := range map[string]bool{
		"data_dir":             filepath.Clean(old.Resolve(old.DataDir)) != filepath.Clean(changed.Resolve(changed.DataDir)),
		"engine":               engine,
		"log":                  old.Log != changed.Log,
		"retention.executions": old.Retention.Executions != changed.Retention.Executions,
		"server.listen":        old.Server.Listen != changed.Server.Listen,
		"server.public_url":    old.Server.PublicURL != changed.Server.PublicURL,
		"tracing":              old.Tracing != changed.Tracing,
	} {
		if differs {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
