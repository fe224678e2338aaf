//go:build unix

package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"switchyard/internal/awsaccess"
	"switchyard/internal/awstest"
)

// The service reads its secrets from AWS when it starts and on SIGHUP, and logs
// none of them.
func TestServiceReadsSecretsFromAWS(t *testing.T) {
	moto := awstest.Moto(t)
	awstest.Isolate(t)
	t.Setenv("AWS_ENDPOINT_URL", moto)
	t.Setenv("AWS_REGION", "eu-west-1")
	loaded, err := awsaccess.Load(t.Context(), awsaccess.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	manager := secretsmanager.NewFromConfig(loaded)
	if _, err := manager.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("hook"), SecretString: aws.String(`{"github":"another secret"}`)}); err != nil {
		t.Fatal(err)
	}
	p := newProcess(t, t.TempDir(), `{"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}`, "")
	file := filepath.Join(p.dir, "switchyard.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	settings := strings.Replace(string(text), `secrets: ["`+processSecret+`"]`, `secrets: ["aws-secret:hook#github"]`, 1)
	if settings == string(text) {
		t.Fatal("the config has no secret to replace")
	}
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	p.start()
	sha := strings.Repeat("a", 40)
	if status, _, text := p.deliver("d-1", sha); status != http.StatusUnauthorized {
		t.Fatalf("before the rotation: %d %s", status, text)
	}
	if _, err := manager.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("hook"), SecretString: aws.String(`{"github":"` + processSecret + `"}`)}); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.eventually("the rotated secret is in use", func() bool {
		status, _, _ := p.deliver("d-1", sha)
		return status == http.StatusAccepted
	})
	if log := p.stderr.String(); strings.Contains(log, "another secret") || strings.Contains(log, processSecret) {
		t.Errorf("the log shows a secret:\n%s", log)
	}
}
