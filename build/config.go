//go:build unix

package build

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// Config is what an operator sets.
type Config struct {
	// DataDir holds mirrors, work directories, logs and artifacts. Required;
	// one Handler at a time may use it.
	DataDir string
	// Projects by the ProjectName of the input. A name that is not here is
	// still built when the input gives SourceLocationOverride.
	Projects map[string]Project
	// MaxParallel bounds how many builds run at once; further ones wait in
	// order of arrival. Default: the number of CPUs.
	MaxParallel int
	// DefaultTimeout is for builds whose project and input set none. It
	// starts when the build does, not while it waits. Default: 60 minutes.
	DefaultTimeout time.Duration
	// Patience is for how long a build is tried again while this machine (a full
	// disk, no descriptors left) or the repository's host keeps it from running.
	// Then it fails with [task.MachineFault]. Default: 1 hour.
	Patience time.Duration
	// KillGrace is how long processes have between SIGTERM and SIGKILL.
	// Default: 5 seconds.
	KillGrace time.Duration
	// Shell runs commands where the buildspec names no shell: "sh" (default)
	// or "bash".
	Shell string
	// InheritEnv names variables of this process that builds get too.
	// Default: PATH, LANG, LC_ALL, TZ.
	InheritEnv []string
	// CheckMirrors is how often each mirror is checked whole; negative: never.
	// Default: 24 hours.
	CheckMirrors time.Duration
	// KeepMirrors is for how long a mirror is kept that nothing builds from;
	// negative: for ever. Default: 90 days.
	KeepMirrors time.Duration
	// Region is what builds have as AWS_REGION and AWS_DEFAULT_REGION, unless
	// their project or input says another; "" sets neither.
	Region string
	// Nice is added to the niceness of builds, 0 to 19.
	Nice int
	// KeepLogs is for how long logs and artifacts of ended builds are kept.
	// Default: 30 days; negative: for ever.
	KeepLogs time.Duration
	// MaxLogBytes bounds a log; what follows is dropped and the log says so.
	// Default: 64 MiB.
	MaxLogBytes int64
	// MaxArtifactBytes and MaxArtifactFiles bound what one build keeps. Default:
	// 1 GiB and 100,000.
	MaxArtifactBytes int64
	MaxArtifactFiles int

	// Isolation is IsolationAuto (default), IsolationBubblewrap, which is an
	// error of New where it does not work, or IsolationNone.
	Isolation string
	// Visible are paths that isolated builds see beside the system, read-only,
	// and Writable are paths that all of them share and may change.
	Visible, Writable []string
	// Hidden are files and directories that isolated builds must not see, also
	// when they are below something that is visible; DataDir is one anyway.
	Hidden []string
	// Container has builds run in containers, which isolate them too.
	Container Container
	// MaxDisk bounds what the files of one running build may take, in bytes.
	// Default: 10 GiB.
	MaxDisk int64
	// MaxCache bounds what all builds keep for later ones, in bytes; what was not
	// used for the longest time goes first. Default: 5 GiB; negative: nothing is kept.
	MaxCache int64
	// Reserve is how much of the file system of DataDir builds leave free, in bytes.
	// Default: 1 GiB, or a twentieth of a file system of less than 20 GiB; negative:
	// nothing.
	Reserve int64
	// MaxMemory bounds the memory of one build, in bytes; 0: no limit.
	MaxMemory int64
	// MaxProcesses bounds the processes and threads of a build, and MaxOpenFiles the
	// open files of each of its processes. Default: 4096 and 65536.
	MaxProcesses, MaxOpenFiles int
}

// Project is what CodeBuild keeps of a project, as far as it matters here.
type Project struct {
	// CloneURL is built when the input has no SourceLocationOverride.
	CloneURL string
	// Buildspec is a path in the repository, or YAML when it has a line
	// break. Default: buildspec.yml.
	Buildspec string
	// Env wins over the buildspec's variables and loses to the input's.
	Env map[string]string
	// Secrets are what builds of the project may have of secrets, by the name
	// that a buildspec's or input's variable of the type SECRETS_MANAGER or
	// PARAMETER_STORE refers to. They are masked in logs and results.
	Secrets map[string]Secret
	// Timeout is 0 for Config.DefaultTimeout.
	Timeout time.Duration
	// Submodules are the clone URLs of the repositories that a commit may have
	// as submodules, and theirs; * in one stands for any name. Without any,
	// submodules are not checked out.
	Submodules []string
	// Image is what builds run in; "" is Config.Container's.
	Image string
	// Network is NetworkHost (default) or NetworkNone, which needs isolation.
	Network string
	// ForkNetwork is the same for commits from forks, NetworkNone by default.
	ForkNetwork string
}

func (c *Config) fill() error {
	if c.DataDir == "" {
		return errors.New("build: DataDir is required")
	}
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return fmt.Errorf("build data directory: %w", err)
	}
	c.DataDir = dir
	if c.MaxParallel == 0 {
		c.MaxParallel = runtime.NumCPU()
	}
	if c.DefaultTimeout == 0 {
		c.DefaultTimeout = time.Hour
	}
	if c.Patience == 0 {
		c.Patience = time.Hour
	}
	if c.KillGrace == 0 {
		c.KillGrace = 5 * time.Second
	}
	if c.Shell == "" {
		c.Shell = "sh"
	}
	if c.InheritEnv == nil {
		c.InheritEnv = []string{"PATH", "LANG", "LC_ALL", "TZ"}
	}
	if c.KeepLogs == 0 {
		c.KeepLogs = 30 * 24 * time.Hour
	}
	if c.MaxLogBytes == 0 {
		c.MaxLogBytes = 64 << 20
	}
	if c.MaxArtifactBytes == 0 {
		c.MaxArtifactBytes = 1 << 30
	}
	if c.MaxArtifactFiles == 0 {
		c.MaxArtifactFiles = 100_000
	}
	switch {
	case c.MaxParallel < 0:
		return fmt.Errorf("build: MaxParallel is %d, must be at least 1", c.MaxParallel)
	case c.Patience < 0 || c.DefaultTimeout < 0 || c.KillGrace < 0 || c.MaxLogBytes < 0 || c.MaxArtifactBytes < 0 || c.MaxArtifactFiles < 0:
		return errors.New("build: times and sizes must not be negative")
	case c.Nice < 0 || c.Nice > 19:
		return fmt.Errorf("build: Nice is %d, must be 0 to 19", c.Nice)
	case c.Shell != "sh" && c.Shell != "bash":
		return fmt.Errorf("build: Shell is %q, must be sh or bash", c.Shell)
	}
	if c.Nice > 0 {
		if _, err := exec.LookPath("nice"); err != nil {
			return fmt.Errorf("build: Nice needs the program nice: %w", err)
		}
	}
	if err := c.fillUpkeep(); err != nil {
		return err
	}
	if err := c.fillIsolation(); err != nil {
		return err
	}
	projects := make(map[string]Project, len(c.Projects))
	for name, p := range c.Projects {
		if p.Timeout < 0 {
			return fmt.Errorf("build: project %s: Timeout must not be negative", name)
		}
		if p.CloneURL != "" {
			if _, err := parseRemote(p.CloneURL); err != nil {
				return fmt.Errorf("build: project %s: %w", name, err)
			}
		}
		for _, s := range p.Submodules {
			if err := CheckSubmodule(s); err != nil {
				return fmt.Errorf("build: project %s: submodules: %w", name, err)
			}
		}
		for k, v := range p.Env {
			if err := checkVariable(k, v); err != nil {
				return fmt.Errorf("build: project %s: %w", name, err)
			}
		}
		if err := p.fillSecrets(name); err != nil {
			return fmt.Errorf("build: %w", err)
		}
		projects[name] = p
	}
	c.Projects = projects
	return nil
}
