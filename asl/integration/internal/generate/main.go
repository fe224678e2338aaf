// Command generate makes models.zip, what the integrations of Step Functions
// take as parameters, from the service models that AWS publishes with botocore
// (https://github.com/boto/botocore, Apache License 2.0).
//
//	go run ./internal/generate -data .../site-packages/botocore/data -out models.zip
//
// The comment of the archive names the version of botocore. Package integration
// says how an entry is written.
package main

import (
	"archive/zip"
	"bytes"
	"cmp"
	"compress/flate"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"switchyard/asl/integration"
	"switchyard/internal/awsmodel"
)

func main() {
	log.SetFlags(0)
	data := flag.String("data", "", "botocore's `folder` of models; by default that of SWITCHYARD_BOTOCORE_DATA or python3")
	out := flag.String("out", "models.zip", "`file` to write")
	flag.Parse()
	if err := run(*data, *out); err != nil {
		log.Fatal(err)
	}
}

func run(data, out string) error {
	if data == "" {
		var err error
		if data, err = awsmodel.Data(); err != nil {
			return err
		}
	}
	version, err := versionOf(data)
	if err != nil {
		return err
	}
	entries, err := optimizedEntries(data)
	if err != nil {
		return err
	}
	sdk, err := sdkEntries(data)
	if err != nil {
		return err
	}
	archive, err := pack(append(entries, sdk...), "From the service models of botocore "+version+", Apache License 2.0, https://github.com/boto/botocore")
	if err != nil {
		return err
	}
	return os.WriteFile(out, archive, 0o644) //nolint:gosec // part of the source
}

// versionOf reads botocore's version, which its package has beside the data.
func versionOf(data string) (string, error) {
	file := filepath.Join(filepath.Dir(data), "__init__.py")
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	m := regexp.MustCompile(`__version__ = '([0-9.]+)'`).FindSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("%s names no version", file)
	}
	return string(m[1]), nil
}

// entry is the text of one service.
type entry struct{ name, text string }

// pack makes an archive that depends on nothing but the entries.
func pack(entries []entry, comment string) ([]byte, error) {
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	w.RegisterCompressor(zip.Deflate, func(to io.Writer) (io.WriteCloser, error) { return flate.NewWriter(to, flate.BestCompression) })
	for _, e := range entries {
		file, err := w.Create(e.name)
		if err != nil {
			return nil, err
		}
		if _, err := io.WriteString(file, e.text); err != nil {
			return nil, err
		}
	}
	if err := w.SetComment(comment); err != nil {
		return nil, err
	}
	err := w.Close()
	return archive.Bytes(), err
}

// sdkEntries are those of the AWS SDK integrations, aws-sdk:service:action, each
// with all that the service can be asked, except for what streams events.
func sdkEntries(data string) ([]entry, error) {
	folders, err := os.ReadDir(data)
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	for _, folder := range folders {
		if found, err := filepath.Glob(filepath.Join(data, folder.Name(), "*", "service-2.json*")); err != nil || len(found) == 0 {
			continue
		}
		m, err := awsmodel.Load(data, folder.Name())
		if err != nil {
			return nil, err
		}
		w := &writer{model: m, named: sdkNames, tokens: true}
		for _, name := range slices.Sorted(maps.Keys(m.Operations)) { // which numbers the shapes
			op := m.Operations[name]
			if !streams(m, op.Input) && !streams(m, op.Output) {
				w.operation(action{name: integration.LowerWord(name), input: op.Input})
			}
		}
		// Some models stand there twice, under an older name too.
		name := "aws-sdk/" + sdkService(m.Metadata.ServiceID)
		if text := w.String(); len(text) > len(texts[name]) {
			texts[name] = text
		}
	}
	var entries []entry
	for name, text := range texts {
		entries = append(entries, entry{name, text})
	}
	return entries, nil
}

// sdkService is the name of a service in an AWS SDK integration, which is that
// of its package in the AWS SDK for Java 2.x.
func sdkService(serviceID string) string {
	words := strings.FieldsFunc(serviceID, func(r rune) bool { return r == ' ' || r == '-' })
	if len(words) > 1 && words[len(words)-1] == "Service" {
		words = words[:len(words)-1]
	}
	return strings.ToLower(strings.Join(words, ""))
}

func streams(m *awsmodel.Model, r *awsmodel.Reference) bool {
	if r == nil {
		return false
	}
	for _, member := range m.Shapes[r.Shape].Members {
		if m.Shapes[member.Shape].EventStream {
			return true
		}
	}
	return false
}
