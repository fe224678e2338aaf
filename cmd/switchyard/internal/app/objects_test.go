package app

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"switchyard/asl/catalog"
	"switchyard/asl/engine"
	"switchyard/asl/store"
	"switchyard/config"
)

// TestConfiguredFolderStandsForS3 runs a distributed Map from a file to files.
func TestConfiguredFolderStandsForS3(t *testing.T) {
	dir := t.TempDir()
	cfg := config.Default()
	cfg.Engine.Embedded.Objects = filepath.Join(dir, "objects")
	if err := os.MkdirAll(filepath.Join(dir, "objects", "in"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "objects", "in", "a.csv"), []byte("n\n1\n2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := OpenEmbedded(t.Context(), dir, cfg, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	m, err := e.engine.Catalog().CreateMachine(ctx, catalog.NewMachine{Name: "m", RoleARN: localRole, Definition: `{"StartAt":"M","States":{"M":{"Type":"Map","End":true,
		"ItemReader":{"Resource":"arn:aws:states:::s3:getObject","Parameters":{"Bucket":"in","Key":"a.csv"},"ReaderConfig":{"InputType":"CSV","CSVHeaderLocation":"FIRST_ROW"}},
		"ResultWriter":{"Resource":"arn:aws:states:::s3:putObject","Parameters":{"Bucket":"out","Prefix":"p"},"WriterConfig":{"Transformation":"COMPACT","OutputType":"JSON"}},
		"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}}}}}`})
	if err != nil {
		t.Fatal(err)
	}
	started, err := e.engine.StartExecution(ctx, engine.Start{MachineARN: m.ARN, Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	x, err := e.engine.DescribeExecution(ctx, started.ExecutionARN)
	for ; err == nil && x.Status == store.Running; x, err = e.engine.DescribeExecution(ctx, started.ExecutionARN) {
		<-tick.C
	}
	if err != nil || x.Status != store.Succeeded {
		t.Fatalf("%+v, %v", x, err)
	}
	written, err := filepath.Glob(filepath.Join(dir, "objects", "out", "p", "*", "SUCCEEDED_0.json"))
	if err != nil || len(written) != 1 {
		t.Fatalf("result files %q, %v", written, err)
	}
	body, err := os.ReadFile(written[0])
	if err != nil || string(body) != `[{"n":"1"},{"n":"2"}]` {
		t.Errorf("%s, %v", body, err)
	}
	if !strings.Contains(string(x.Output), `"Bucket":"out"`) {
		t.Errorf("output %s", x.Output)
	}
}
