// Package rig runs a real switchyard process for the benchmarks: it builds the
// binary, writes a config, starts it on loopback, and looks at it from outside
// only, through the webhook endpoint and the engine's Step Functions API.
package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"switchyard/internal/freeport"
)

// Secret is the webhook secret that the rig's config names.
const Secret = "a secret of the benchmark"

// Server is a switchyard process with the embedded engine. Its data survives
// Kill, so that Start continues where the last process ended.
type Server struct {
	// Webhook is the host:port of the HTTP face, Engine that of the embedded
	// engine's Step Functions API.
	Webhook, Engine string
	dir, binary     string
	cmd             *exec.Cmd
	exited          chan error
}

const definition = `{
  "Comment": "The smallest pipeline: what is measured is Switchyard, not the build.",
  "StartAt": "Done",
  "States": {"Done": {"Type": "Pass", "End": true}}
}
`

const configText = `server:
  listen: %s
data_dir: %s
sources:
  github: {secrets: [%q]}
engine:
  embedded: {listen: %s, auth: none}
state_machines:
  bench: {definition: %s}
routes:
  - name: every
    on: [push]
    branches: ["**"]
    commits: every
    state_machine: bench
log: {level: warn}
`

// New builds the binary and prepares a server under dir; nothing runs yet.
func New(ctx context.Context, dir string) (*Server, error) {
	s := &Server{dir: dir, binary: filepath.Join(dir, "switchyard")}
	build := exec.CommandContext(ctx, "go", "build", "-o", s.binary, "switchyard/cmd/switchyard")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build switchyard: %w\n%s", err, out)
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	s.Webhook, s.Engine = ports[0], ports[1]
	machine := filepath.Join(dir, "bench.asl.json")
	if err := os.WriteFile(machine, []byte(definition), 0o600); err != nil {
		return nil, err
	}
	text := fmt.Sprintf(configText, s.Webhook, s.DataDir(), Secret, s.Engine, machine)
	return s, os.WriteFile(s.configFile(), []byte(text), 0o600)
}

// DataDir is where the server keeps its journal and its engine's store.
func (s *Server) DataDir() string { return filepath.Join(s.dir, "data") }

func (s *Server) configFile() string { return filepath.Join(s.dir, "switchyard.yaml") }

// Start runs the process and returns once it is ready.
func (s *Server) Start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(s.dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.Command(s.binary, "serve", "--config", s.configFile())
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start switchyard: %w", err)
	}
	s.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, exited chan<- error) { exited <- cmd.Wait() }(s.cmd, s.exited)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-s.exited:
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("switchyard ended before it was ready: %v\n%s", err, text)
		case <-tick.C:
			resp, err := http.Get("http://" + s.Webhook + "/readyz")
			if err != nil {
				continue
			}
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
}

// Kill ends the process with SIGKILL and waits until it is gone.
func (s *Server) Kill() error {
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-s.exited
	return nil
}

// Stop ends the process as an operator would and waits until it is gone.
func (s *Server) Stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return <-s.exited
}

// PeakMemory is the largest resident size the process had, in bytes.
func (s *Server) PeakMemory() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		if kb, ok := strings.CutPrefix(string(line), "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.Fields(kb)[0], 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New("no VmHWM in /proc/PID/status")
}

// Metric sums the samples of one metric on /metrics, over all labels.
func (s *Server) Metric(ctx context.Context, name string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Webhook+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(resp.Body); err != nil {
		return 0, err
	}
	sum, found := 0.0, false
	for line := range strings.Lines(text.String()) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || (rest[0] != '{' && rest[0] != ' ') {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndexByte(rest, ' ')+1:len(rest)-1]), 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", name, err)
		}
		sum, found = sum+v, true
	}
	if !found {
		return 0, fmt.Errorf("no metric %s on /metrics", name)
	}
	return sum, nil
}

func freePorts(n int) ([]string, error) {
	var found []string
	for range n {
		address, err := freeport.Address()
		if err != nil {
			return nil, err
		}
		found = append(found, address)
	}
	return found, nil
}
