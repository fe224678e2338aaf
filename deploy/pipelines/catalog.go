package pipelines

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// shipped are the files of all pipelines, each in a folder of its name.
//
//go:embed */*.json */*.md */*.yaml
var shipped embed.FS

// Pipeline is one that ships with Switchyard.
type Pipeline struct {
	Name string
	// Summary is the first sentence of its README, on one line.
	Summary string
	// Files are the names of its files, sorted.
	Files []string
}

// All lists the pipelines by their names.
func All() ([]Pipeline, error) {
	folders, err := fs.ReadDir(shipped, ".")
	if err != nil {
		return nil, fmt.Errorf("pipelines: %w", err)
	}
	var all []Pipeline
	for _, folder := range folders {
		p := Pipeline{Name: folder.Name()}
		entries, err := fs.ReadDir(shipped, p.Name)
		if err != nil {
			return nil, fmt.Errorf("pipeline %s: %w", p.Name, err)
		}
		for _, e := range entries {
			p.Files = append(p.Files, e.Name())
		}
		readme, err := p.File("README.md")
		if err != nil {
			return nil, err
		}
		p.Summary = firstSentence(string(readme))
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Pipeline) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// File reads one of the pipeline's files.
func (p Pipeline) File(name string) ([]byte, error) {
	text, err := shipped.ReadFile(path.Join(p.Name, name))
	if err != nil {
		return nil, fmt.Errorf("pipeline %s: %w", p.Name, err)
	}
	return text, nil
}

// home is where a pipeline is in this repository; its route names its definition
// there.
func (p Pipeline) home() string { return "deploy/pipelines/" + p.Name + "/" }

// Copy is what the pipeline's files are in another folder, whose path is written
// with slashes, relative to the config: the route names the definition there.
func (p Pipeline) Copy(folder string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, name := range p.Files {
		text, err := p.File(name)
		if err != nil {
			return nil, err
		}
		files[name] = text
	}
	p.move(files, folder)
	return files, nil
}

// CopyFor is [Pipeline.Copy] for one of the [Generated] pipelines, with these
// components.
func (p Pipeline) CopyFor(components []Component, folder string) (map[string][]byte, error) {
	files, err := Generate(p.Name, components)
	if err != nil {
		return nil, err
	}
	p.move(files, folder)
	return files, nil
}

func (p Pipeline) move(files map[string][]byte, folder string) {
	route := strings.ReplaceAll(string(files[Route]), p.home(), strings.TrimSuffix(folder, "/")+"/")
	files[Route] = []byte(route)
}

// Route is the file that says what goes into the config.
const Route = "route.yaml"

// firstSentence is that of a document, after its heading.
func firstSentence(document string) string {
	_, rest, _ := strings.Cut(document, "\n\n")
	paragraph, _, _ := strings.Cut(rest, "\n\n")
	text := strings.Join(strings.Fields(paragraph), " ")
	if sentence, _, more := strings.Cut(text, ". "); more {
		return sentence + "."
	}
	return text
}
