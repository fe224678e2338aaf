package config

import (
	"time"

	"switchyard/asl/task/build"
)

// BuildConfig is what local builds need; dataDir is theirs alone.
func (e *Embedded) BuildConfig(dataDir string, keepLogs time.Duration) build.Config {
	cfg := build.Config{
		DataDir:     dataDir,
		MaxParallel: e.MaxBuilds,
		KeepLogs:    keepLogs,
		Projects:    make(map[string]build.Project, len(e.Projects)),
	}
	for name, p := range e.Projects {
		cfg.Projects[name] = build.Project{
			CloneURL: p.Repository, Buildspec: p.Buildspec, Env: p.Environment, Timeout: time.Duration(p.Timeout),
		}
	}
	return cfg
}
