package survival

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"switchyard/internal/freeport"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
)

// process is a switchyard that is killed and started again on the same data.
type process struct {
	dir, binary, engine, tokens string
	cmd                         *exec.Cmd
	exited                      chan error
}

// The functions: nap takes its time and gives its input back, keep writes the
// task token it is given to a file.
const configText = `server: {listen: %s}
data_dir: data
sources:
  github: {secrets: ["a secret of the test"]}
engine:
  embedded:
    listen: %s
    auth: none
    functions:
      nap: {exec: [/bin/sh, -c, "sleep 0.4; cat"]}
      keep:
        exec: [/bin/sh, -c, 'file="$TOKENS/$$-$(date +%%s%%N)"; cat > "$file.new"; mv "$file.new" "$file"; echo null']
        environment: {TOKENS: %q}
state_machines:
`

func newProcess(ctx context.Context, dir string) (*process, error) {
	p := &process{dir: dir, binary: filepath.Join(dir, "switchyard"), tokens: filepath.Join(dir, "tokens")}
	build := exec.CommandContext(ctx, "go", "build", "-o", p.binary, "switchyard/cmd/switchyard")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build switchyard: %w\n%s", err, out)
	}
	if err := os.Mkdir(p.tokens, 0o700); err != nil {
		return nil, err
	}
	webhooks, err := freeport.Address()
	if err != nil {
		return nil, err
	}
	if p.engine, err = freeport.Address(); err != nil {
		return nil, err
	}
	text := fmt.Sprintf(configText, webhooks, p.engine, p.tokens)
	for _, k := range kinds {
		file := k.name + ".asl.json"
		if err := os.WriteFile(filepath.Join(dir, file), []byte(k.definition), 0o600); err != nil {
			return nil, err
		}
		text += fmt.Sprintf("  %s: {definition: %s}\n", k.name, file)
	}
	return p, os.WriteFile(p.config(), []byte(text), 0o600)
}

func (p *process) config() string { return filepath.Join(p.dir, "switchyard.yaml") }

func (p *process) client() *sfn.Client { return newClient(p.engine) }

// start runs the process and returns once the engine takes connections.
func (p *process) start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(p.dir, "switchyard.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd = exec.Command(p.binary, "serve", "--config", p.config())
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start switchyard: %w", err)
	}
	p.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, exited chan<- error) { exited <- cmd.Wait() }(p.cmd, p.exited)
	for {
		var d net.Dialer
		if conn, err := d.DialContext(ctx, "tcp", p.engine); err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), p.kill())
		case err := <-p.exited:
			p.exited <- err
			text, _ := os.ReadFile(log.Name()) // what can be shown is shown
			return fmt.Errorf("switchyard ended before it was ready: %v\n%s", err, text)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// kill ends the process with SIGKILL and waits until it is gone.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	err := <-p.exited
	p.exited <- err
	return nil
}

// stop ends the process as an operator would and waits until it is gone.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := <-p.exited
	p.exited <- err
	return err
}
