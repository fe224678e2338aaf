package main

import (
	"fmt"
	"math"
	"time"

	"switchyard/asl"
	"switchyard/asl/value"
)

// The same Choice in both query languages.
const (
	inJSONPath = `{"StartAt":"Size","States":{"End":{"Type":"Succeed"},"Size":{"Type":"Choice","Default":"End",
		"Choices":[{"Variable":"$.order.total","NumericGreaterThan":100,"Next":"End"}]}}}`
	inJSONata = `{"QueryLanguage":"JSONata","StartAt":"Size","States":{"End":{"Type":"Succeed"},"Size":{"Type":"Choice","Default":"End",
		"Choices":[{"Condition":"{% $states.input.order.total > 100 %}","Next":"End"}]}}}`
	choiceInput = `{"order":{"total":99,"items":[1,2,3]},"customer":"c"}`
)

// measureChoice compares a Choice in JSONata with the same in JSONPath. Their
// batches take turns, and the best of each counts: a busy machine makes others
// longer.
func measureChoice(rounds int, most float64) error {
	path, err := choose(inJSONPath)
	if err != nil {
		return err
	}
	jsonata, err := choose(inJSONata)
	if err != nil {
		return err
	}
	bestPath, bestJSONata := math.Inf(1), math.Inf(1)
	for range rounds {
		bestPath = min(bestPath, timeBatch(path))
		bestJSONata = min(bestJSONata, timeBatch(jsonata))
	}
	times := bestJSONata / bestPath
	fmt.Printf("a Choice takes %.0f ns in JSONata, %.0f ns in JSONPath: %.1f times as long\n", bestJSONata, bestPath, times)
	if most > 0 && times > most {
		return fmt.Errorf("a Choice in JSONata takes %.1f times as long as in JSONPath, more than %.1f", times, most)
	}
	return nil
}

// choose gives what evaluates the Choice that the definition starts at.
func choose(definition string) (func(), error) {
	m, problems := asl.Parse([]byte(definition))
	if m == nil {
		return nil, fmt.Errorf("parse the Choice: %v", problems)
	}
	input, err := value.Parse([]byte(choiceInput))
	if err != nil {
		return nil, err
	}
	f := &asl.Frame{Input: input}
	if to, _, err := m.Start.Fields.Choose(f); err != nil || to != m.Start.Choice.Default {
		return nil, fmt.Errorf("the Choice went another way than its default: %w", err)
	}
	return func() { _, _, _ = m.Start.Fields.Choose(f) }, nil // it gave no error before
}

// timeBatch gives the nanoseconds of one call of many.
func timeBatch(do func()) float64 {
	start := time.Now()
	for range batch {
		do()
	}
	return float64(time.Since(start).Nanoseconds()) / batch
}
