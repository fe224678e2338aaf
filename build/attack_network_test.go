//go:build linux

package build

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"golang.org/x/sys/unix"

	"switchyard/asl/api"
	"switchyard/asl/api/sigv4"
	"switchyard/asl/engine"
	"switchyard/asl/store"
)

const (
	ownNetwork = "`network: none`: a network namespace with a loopback of its own"
	signedCall = "the engine's port takes signed requests only, and its keys are not visible to a build"
	ownIPC     = "an IPC namespace of each build's own"
)

func dialled(network, address string) func() error {
	return func() error {
		c, err := net.DialTimeout(network, os.ExpandEnv(address), time.Second)
		if err != nil {
			return err
		}
		return c.Close()
	}
}

var networkAttacks = []attack{
	{name: "socket in the data folder", stop: ownFiles, inside: dialled("unix", "$DATA/s")},
	{name: "abstract socket", stop: ownNetwork, inside: dialled("unix", "@$NONCE")},
	{name: "abstract socket with the machine's network", stop: ownNetwork, host: true, inside: dialled("unix", "@$NONCE"),
		gap: "abstract sockets belong to the network"},
	{name: "port on the machine's loopback", stop: ownNetwork, inside: dialled("tcp", "127.0.0.1:$PORT")},
	{name: "port on the loopback with the machine's network", stop: ownNetwork, host: true, inside: dialled("tcp", "127.0.0.1:$PORT"),
		gap: "services on the machine's loopback are reached by who has its network"},
	{name: "port that the service will call", stop: ownNetwork, inside: func() error {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // local
		if err != nil {
			return err
		}
		fmt.Printf("listens on %s\n", l.Addr())
		_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(15 * time.Second))
		_, err = l.Accept()
		return err
	}, before: func(s *service, tr *trial) { tr.reached = s.callListener(tr) },
		got: func(_ *service, tr *trial) bool { return <-tr.reached }},
	{name: "raw packets of the machine's network", stop: ownNetwork, host: true, inside: func() error {
		_, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0x0300)
		return err
	}, harmlessTo: onlyRoot("raw sockets need a capability")},
	{name: "interfaces of the machine's network", stop: "no capabilities: a build can't change the network that it is in", host: true, script: `ip link set lo mtu 1500 || perl -e 'use Socket; socket(S,AF_INET,SOCK_DGRAM,0); $r = pack("a16i", "lo", 1500); exit(ioctl(S,0x8922,$r)?0:1)'`,
		harmlessTo: onlyRoot("an ordinary user can't change the network")},
	{name: "change a state machine, unsigned", stop: signedCall, host: true, inside: func() error { return callUnsigned("UpdateStateMachine") }, before: withMachine, got: machineChanged,
		harmless: "the port takes signed requests only, with or without isolation"},
	{name: "start an execution, unsigned", stop: signedCall, host: true, inside: func() error { return callUnsigned("StartExecution") }, before: withMachine, got: machineChanged,
		harmless: "the port takes signed requests only, with or without isolation"},
	{name: "start an execution with keys that are made up", stop: signedCall, host: true, inside: func() error {
		return callSigned("AKIAIOSFODNN7EXAMPLE", "a secret that is made up, of forty letters")
	}, before: withMachine, got: machineChanged, harmless: "the port knows the service's keys only, with or without isolation"},
	{name: "change a state machine with keys found in any file", stop: signedCall, host: true, inside: callWithFoundKeys, before: withMachine, got: machineChanged},
	{name: "shared memory of System V", stop: ownIPC, inside: attachSystemV,
		before: func(s *service, tr *trial) { tr.vars["SHM_KEY"] = s.systemV() }, got: leaks("systemv")},
	{name: "message queue of POSIX", stop: ownIPC, inside: func() error {
		return openQueue(os.Getenv("NONCE"), unix.O_RDONLY)
	}, before: func(s *service, _ *trial) { s.queue() }},
	{name: "cloud's metadata address", stop: ownNetwork, inside: dialled("tcp", "169.254.169.254:80"),
		harmless: "the throwaway machine has no network at all"},
}

// callListener calls, as the service would, the port that the attack tells in
// its log, and says whether somebody answered.
func (s *service) callListener(tr *trial) <-chan bool {
	reached := make(chan bool, 1)
	path := s.h.logs.path(s.executionName(tr), "t")
	go func() {
		for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			text, _ := os.ReadFile(path)
			if m := regexp.MustCompile(`listens on (\S+)`).FindSubmatch(text); m != nil {
				c, err := net.DialTimeout("tcp", string(m[1]), 10*time.Second)
				if err == nil {
					c.Close()
				}
				reached <- err == nil
				return
			}
		}
		reached <- false
	}()
	return reached
}

// enginePort is the embedded engine's, with a state machine behind it.
type enginePort struct {
	url string
	// owner is a client with the service's keys.
	owner *sfn.Client
}

const harmlessMachine = `{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}`

func newEnginePort(t *testing.T, keys, secret string) *enginePort {
	t.Helper()
	key := sigv4.Key{ID: "SWITCHYARD0123456789", Secret: secret}
	text := "[default]\naws_access_key_id = " + key.ID + "\naws_secret_access_key = " + key.Secret + "\n"
	if err := os.WriteFile(keys, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(store.NewMemory(), engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	server, err := api.New(e)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := sigv4.New(sigv4.Config{Service: "states", Keys: []sigv4.Key{key}})
	if err != nil {
		t.Fatal(err)
	}
	door, err := api.NewDoor(server, api.DoorConfig{Verifier: verifier})
	if err != nil {
		t.Fatal(err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: door, ReadHeaderTimeout: time.Minute}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = web.Serve(l) })
	wg.Go(func() { _ = e.Run(ctx) })
	t.Cleanup(func() { web.Close(); stop(); wg.Wait() })
	url := "http://" + l.Addr().String()
	return &enginePort{url: url, owner: engineClient(url, key.ID, key.Secret)}
}

// withMachine makes a state machine for one attack, $MACHINE.
func withMachine(s *service, tr *trial) {
	out, err := s.engine.owner.CreateStateMachine(context.Background(), &sfn.CreateStateMachineInput{
		Name: aws.String(fileName(tr.name)), Definition: aws.String(harmlessMachine), RoleArn: aws.String("arn:aws:iam::000000000000:role/r")})
	if err != nil {
		panic(err)
	}
	tr.vars["MACHINE"] = *out.StateMachineArn
}

func engineClient(url, id, secret string) *sfn.Client {
	return sfn.New(sfn.Options{Region: "eu-west-1", BaseEndpoint: aws.String(url), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, "")})
}

// machineChanged reports whether the attack's state machine is another by now,
// or has run.
func machineChanged(s *service, tr *trial) bool {
	ctx, machine := context.Background(), tr.vars["MACHINE"]
	described, err := s.engine.owner.DescribeStateMachine(ctx, &sfn.DescribeStateMachineInput{StateMachineArn: &machine})
	if err != nil {
		panic(err)
	}
	ran, err := s.engine.owner.ListExecutions(ctx, &sfn.ListExecutionsInput{StateMachineArn: &machine})
	if err != nil {
		panic(err)
	}
	return *described.Definition != harmlessMachine || len(ran.Executions) > 0
}

const evilMachine = `{"StartAt": "Evil", "States": {"Evil": {"Type": "Succeed"}}}`

func callUnsigned(action string) error {
	body := fmt.Sprintf(`{"stateMachineArn": %q, "definition": %q}`, os.Getenv("MACHINE"), evilMachine)
	if action == "StartExecution" {
		body = fmt.Sprintf(`{"stateMachineArn": %q}`, os.Getenv("MACHINE"))
	}
	r, err := http.NewRequest(http.MethodPost, os.Getenv("ENGINE"), strings.NewReader(body)) //nolint:noctx // local
	if err != nil {
		return err
	}
	r.Header.Set("X-Amz-Target", "AWSStepFunctions."+action)
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return wants(answer.StatusCode == http.StatusOK, string(text))
}

func callSigned(id, secret string) error {
	machine := os.Getenv("MACHINE")
	c := engineClient(os.Getenv("ENGINE"), id, secret)
	if _, err := c.StartExecution(context.Background(), &sfn.StartExecutionInput{StateMachineArn: &machine}); err != nil {
		return err
	}
	_, err := c.UpdateStateMachine(context.Background(), &sfn.UpdateStateMachineInput{StateMachineArn: &machine, Definition: aws.String(evilMachine)})
	return err
}

var keyInFile = regexp.MustCompile(`aws_access_key_id\s*=\s*(\S+)\s+aws_secret_access_key\s*=\s*(\S+)`)

// callWithFoundKeys tries all keys that are in any file that can be read.
func callWithFoundKeys() error {
	tried := 0
	for _, root := range []string{"/etc", "/home", "/root", "/run", "/srv", "/var/tmp", "/tmp", os.Getenv("OUTSIDE"), "."} {
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil //nolint:nilerr // what can't be read has no keys for us
			}
			if info, err := d.Info(); err != nil || info.Size() > 1<<20 {
				return nil //nolint:nilerr // see above
			}
			text, _ := os.ReadFile(path)
			for _, m := range keyInFile.FindAllStringSubmatch(string(text), -1) {
				tried++
				if callSigned(m[1], m[2]) == nil {
					return fs.SkipAll
				}
			}
			return nil
		})
	}
	return fmt.Errorf("tried %d keys", tried)
}
