package app_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/smithy-go"
	"go.uber.org/zap"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/config"
)

// machines lists the state machines through the engine's port.
func machines(t *testing.T, s *service, id, secret string) error {
	t.Helper()
	_, err := sfn.New(sfn.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://" + s.EngineAddr().String()), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, ""),
	}).ListStateMachines(t.Context(), &sfn.ListStateMachinesInput{})
	return err
}

// The port is closed to all but the data folder's owner, with nothing set up.
func TestEnginePortTakesTheKeyOfTheDataFolder(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	path := filepath.Join(dir, "data", "engine.keys")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	key, err := app.EngineKey(s.cfg, filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	if err := machines(t, s, key.ID, key.Secret); err != nil {
		t.Error(err)
	}
	var refused smithy.APIError
	if err := machines(t, s, "test", "test"); !errors.As(err, &refused) || refused.ErrorCode() != "UnrecognizedClientException" || !strings.Contains(refused.ErrorMessage(), path) {
		t.Errorf("any key: %v", err)
	}
	// The service itself needs no key.
	if status, text := s.deliver(t, "d1", push("feature/a", "one")); status != 202 {
		t.Fatalf("%d %s", status, text)
	}
	s.settled(t, 1)
	s.stop()
	again := start(t, dir)
	if err := machines(t, again, key.ID, key.Secret); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

func TestEnginePortTakesTheConfigsKeys(t *testing.T) {
	dir := t.TempDir()
	text := strings.Replace(fmt.Sprintf(settings, secret), "functions:", `keys: [{id: OLD, secret: retiring}, {id: NEW, secret: "file:key"}], functions:`, 1)
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte("fresh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startWith(t, dir, text, machine)
	for id, secret := range map[string]string{"OLD": "retiring", "NEW": "fresh"} {
		if err := machines(t, s, id, secret); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	var refused smithy.APIError
	if err := machines(t, s, "OLD", "fresh"); !errors.As(err, &refused) || refused.ErrorCode() != "InvalidSignatureException" {
		t.Errorf("another's secret: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "data", "engine.keys")); err == nil {
		t.Error("a key was made that nobody asked for")
	}
	for _, key := range s.cfg.Engine.Embedded.Keys {
		if shown := fmt.Sprintf("%v %+v %#v", key, key, s.cfg.Engine.Embedded); strings.Contains(shown, "fresh") || strings.Contains(shown, "retiring") {
			t.Errorf("a secret is shown: %s", shown)
		}
	}
}

func TestEnginePortWithoutKeys(t *testing.T) {
	open := strings.Replace(fmt.Sprintf(settings, secret), "functions:", "auth: none, functions:", 1)
	s := startWith(t, t.TempDir(), open, machine)
	if err := machines(t, s, "any", "thing"); err != nil {
		t.Error(err)
	}
	// Beyond what the config's check can see, the address that was bound counts.
	cfg := load(t, t.TempDir(), open, machine)
	cfg.Engine.Embedded.Listen = "0.0.0.0:0"
	if a, err := app.New(t.Context(), cfg, zap.NewNop()); err == nil || !strings.Contains(err.Error(), "engine.embedded.auth") {
		t.Errorf("open to the network: %v", err)
		_ = a.Close()
	}
}

func TestEngineKeysFileThatIsDamaged(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "[default]\naws_access_key_id = A\n", "[default]\naws_access_key_id = A\naws_secret_access_key = short\n"} {
		if err := os.WriteFile(filepath.Join(dir, "data", "engine.keys"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := app.New(t.Context(), load(t, dir, fmt.Sprintf(settings, secret), machine), zap.NewNop())
		if err == nil {
			_ = a.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "engine.keys holds no access key; delete it") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := app.EngineKey(config.Default(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "made at the first start") {
		t.Errorf("none yet: %v", err)
	}
}
