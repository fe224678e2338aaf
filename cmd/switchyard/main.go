// Command switchyard turns git pushes into executions, one for every commit.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	env, err := newEnvironment()
	if err != nil {
		fmt.Fprintln(os.Stderr, "switchyard:", err)
		os.Exit(exitFailed)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The second interrupt ends the program at once.
	context.AfterFunc(ctx, stop)
	c := newCLI(os.Stdin, os.Stdout, os.Stderr, env.Lookup)
	c.process = env
	args := os.Args[1:]
	if _, lambda := os.LookupEnv("AWS_LAMBDA_RUNTIME_API"); lambda && len(args) == 0 {
		args = []string{"lambda"} // Lambda starts its bootstrap program without arguments
	}
	code := c.run(ctx, args)
	stop()
	os.Exit(code)
}
