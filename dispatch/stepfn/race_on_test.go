//go:build race

package stepfn_test

const raceDetector = true
