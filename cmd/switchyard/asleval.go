package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"switchyard/asl"
	"switchyard/asl/jsonata"
	"switchyard/asl/jsonpath"
	"switchyard/asl/value"
	"switchyard/internal/safetext"
)

// aslEval is one call of asl eval, as its flags ask for.
type aslEval struct {
	language, input, bindings string
}

func (c *cli) aslEvalCommand() *cobra.Command {
	var e aslEval
	cmd := &cobra.Command{
		Use:   "eval [EXPRESSION]",
		Short: "Evaluate an expression as a state machine would",
		Long: "Evaluates one expression in JSONata or JSONPath, with the functions and limits\n" +
			"that it has in a state machine, and prints the result as JSON: nothing when it\n" +
			"is undefined. An error goes to standard error as CODE: message, with exit code 1.\n\n" +
			"The input is $, in JSONata $states.input too. On a terminal without an EXPRESSION\n" +
			"it is a prompt; the arrow keys bring back what was typed before, Ctrl-D ends it.",
		Example: "  switchyard asl eval --input order.json '$sum(items.(price * quantity))'\n" +
			"  switchyard asl eval --language jsonpath --input order.json '$.items[?(@.price > 9)].name'",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return c.aslEval(&e, args) },
	}
	f := cmd.Flags()
	f.StringVarP(&e.language, "language", "l", "jsonata", "`language` of the expression: jsonata or jsonpath")
	f.StringVarP(&e.input, "input", "i", "", "`file` with the input as JSON, - for standard input; no input without it")
	f.StringVarP(&e.bindings, "bindings", "b", "", "`file` with a JSON object of variables, by their names without the $")
	return cmd
}

func (c *cli) aslEval(e *aslEval, args []string) error {
	if e.language != "jsonata" && e.language != "jsonpath" {
		return usagef("--language is jsonata or jsonpath, not %q", e.language)
	}
	ev := &evaluation{jsonpath: e.language == "jsonpath"}
	if e.input != "" {
		v, err := c.readJSON("input", e.input)
		if err != nil {
			return err
		}
		ev.input = &v
	}
	if e.bindings != "" {
		v, err := c.readJSON("bindings", e.bindings)
		if err != nil {
			return err
		}
		if v.Kind() != value.Object {
			return fmt.Errorf("bindings %s: it must be an object of variables, it is of type %s", e.bindings, v.Kind())
		}
		ev.bindings = v
	}
	if len(args) == 1 {
		text, err := ev.eval(args[0])
		if err != nil {
			fmt.Fprintln(c.stderr, safetext.Line(err.Error()))
			return silentError{}
		}
		if text != "" {
			fmt.Fprintf(c.stdout, "%s\n", safetext.JSON([]byte(text)))
		}
		return nil
	}
	in, ok := c.stdin.(*os.File)
	if !ok || e.input == "-" || !term.IsTerminal(int(in.Fd())) {
		return usagef("an EXPRESSION is missing; only on a terminal is it asked for")
	}
	return prompt(in, c.stdout, ev)
}

// readJSON reads a file with a JSON value, - for standard input.
func (c *cli) readJSON(what, name string) (value.Value, error) {
	text, err := c.readFile(name)
	if err != nil {
		return value.Value{}, fmt.Errorf("read %s: %w", what, err)
	}
	v, err := value.Parse(text)
	if err != nil {
		return value.Value{}, fmt.Errorf("%s %s: %w", what, name, err)
	}
	return v, nil
}

func (c *cli) readFile(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(c.stdin)
	}
	return os.ReadFile(name)
}

// evaluation is what expressions are evaluated over.
type evaluation struct {
	jsonpath bool
	input    *value.Value
	bindings value.Value
}

// Lookup finds a variable. $states has the input, unless it is bound.
func (ev *evaluation) Lookup(name string) (value.Value, bool) {
	v, ok := ev.bindings.Get(name)
	if !ok && name == "states" && ev.input != nil {
		return value.OfObject(value.Field{Key: "input", Value: *ev.input}), true
	}
	return v, ok
}

// eval gives the result as JSON, "" when it is undefined. The error's text is
// CODE: message.
func (ev *evaluation) eval(src string) (string, error) {
	if ev.jsonpath {
		return ev.evalPath(src)
	}
	e, err := jsonata.Compile(src)
	if err != nil {
		return "", err
	}
	v, ok, err := e.Eval(&jsonata.Scope{Input: ev.input, Bindings: ev, Limits: jsonata.StateLimits})
	switch {
	case errors.Is(err, jsonata.ErrFunction):
		return "", errors.New(asl.ErrQueryEvaluationError + ": the expression returned an unsupported result type")
	case err != nil || !ok:
		return "", err
	}
	return v.JSON(), nil
}

func (ev *evaluation) evalPath(src string) (string, error) {
	e, err := asl.ParseExpression(src)
	if err != nil {
		return "", fmt.Errorf("%s: %w", asl.CodeSchema, err)
	}
	sc := &asl.Scope{Scope: jsonpath.Scope{Variable: ev.Lookup}}
	if ev.input != nil {
		sc.Input = *ev.input
	}
	v, err := e.Eval(sc)
	if err != nil {
		return "", err
	}
	return v.JSON(), nil
}

// prompt evaluates what is typed, line by line.
func prompt(in *os.File, out io.Writer, ev *evaluation) error {
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return fmt.Errorf("open the terminal: %w", err)
	}
	defer func() { _ = term.Restore(int(in.Fd()), before) }() // the shell does it too
	t := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{in, out}, "> ")
	for {
		line, err := t.ReadLine()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the terminal: %w", err)
		case line == "":
			continue
		}
		text, err := ev.eval(line)
		if err != nil {
			text = safetext.Line(err.Error())
		} else {
			text = string(safetext.JSON([]byte(text)))
		}
		if text != "" {
			fmt.Fprintf(t, "%s\n", text)
		}
	}
}
