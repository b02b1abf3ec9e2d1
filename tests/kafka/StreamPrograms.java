import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Comparator;
import java.util.Deque;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.GlobalKTable;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.SlidingWindows;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.ValueJoiner;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.state.BuiltInDslStoreSuppliers;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.WindowStore;
import org.apache.kafka.streams.test.TestRecord;

/**
 * What Kafka Streams answers: scenarios come in, a JSON object a line, and their outputs go out.
 *
 * <p>A scenario has a "program" for a stack of streams and tables (stream_programs.py has the
 * words) and "inputs" of [topic, key, value, timestamp]. Out goes a list of [key, value, timestamp]
 * for every input, or the error.
 */
public class StreamPrograms {
    static final Serde<String> TEXT = Serdes.String();
    static final ValueJoiner<String, String, String> PAIR = (left, right) -> left + "-" + right;
    static final ObjectMapper JSON = new ObjectMapper();

    final StreamsBuilder builder = new StreamsBuilder();
    final Deque<Object> stack = new ArrayDeque<>();
    int stores = 0;

    public static void main(String[] arguments) throws Exception {
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        Path state = Files.createTempDirectory("programs");
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            ObjectNode answer = JSON.createObjectNode();
            JsonNode scenario = JSON.readTree(line);
            try {
                answer.set("expected", new StreamPrograms().run(scenario, state));
            } catch (Exception error) {
                answer.put("error", String.valueOf(error));
            }
            out.println(JSON.writeValueAsString(answer));
        }
        out.flush();
        try (var files = Files.walk(state)) {
            files.sorted(Comparator.reverseOrder()).forEach(file -> file.toFile().delete());
        }
    }

    ArrayNode run(JsonNode scenario, Path state) {
        for (JsonNode word : scenario.get("program")) {
            step(word);
        }
        KStream<String, String> result = stream();
        result.to("out", Produced.with(TEXT, TEXT));
        Set<String> known = new LinkedHashSet<>();
        scenario.get("program").forEach(word -> {
            if (List.of("stream", "table", "global").contains(word.get(0).asText())) {
                known.add(word.get(1).asText());
            }
        });
        ArrayNode expected = JSON.createArrayNode();
        try (var driver = new TopologyTestDriver(builder.build(), settings(state))) {
            var output = driver.createOutputTopic("out", new StringDeserializer(), new StringDeserializer());
            for (JsonNode input : scenario.get("inputs")) {
                if (known.contains(input.get(0).asText())) {
                    driver.createInputTopic(input.get(0).asText(), new StringSerializer(), new StringSerializer())
                        .pipeInput(new TestRecord<>(text(input.get(1)), text(input.get(2)), null, input.get(3).asLong()));
                }
                ArrayNode rows = expected.addArray();
                for (TestRecord<String, String> record : output.readRecordsToList()) {
                    rows.addArray().add(record.key()).add(record.value()).add(record.timestamp());
                }
            }
        }
        return expected;
    }

    static Properties settings(Path state) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "programs");
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, "none:1");
        settings.put(StreamsConfig.STATE_DIR_CONFIG, state.toString());
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0L);
        settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        settings.put(StreamsConfig.DSL_STORE_SUPPLIERS_CLASS_CONFIG,
            BuiltInDslStoreSuppliers.InMemoryDslStoreSuppliers.class);
        settings.put("__emit.interval.ms.kstreams.outer.join.spurious.results.fix__", 0L);
        settings.put("__emit.interval.ms.kstreams.windowed.aggregation__", 0L);
        return settings;
    }

    static String text(JsonNode node) {
        return node.isNull() ? null : node.asText();
    }

    @SuppressWarnings("unchecked")
    KStream<String, String> stream() {
        return (KStream<String, String>) stack.pop();
    }

    @SuppressWarnings("unchecked")
    KTable<String, String> table() {
        return (KTable<String, String>) stack.pop();
    }

    Materialized<String, String, KeyValueStore<Bytes, byte[]>> store() {
        return Materialized.<String, String, KeyValueStore<Bytes, byte[]>>as("store-" + stores++)
            .withKeySerde(TEXT).withValueSerde(TEXT);
    }

    void step(JsonNode word) {
        String argument = word.size() > 1 ? word.get(1).asText() : "";
        switch (word.get(0).asText()) {
            case "stream" -> stack.push(builder.stream(argument, Consumed.with(TEXT, TEXT)));
            case "table" -> stack.push(builder.table(argument, Consumed.with(TEXT, TEXT), store()));
            case "global" -> stack.push(builder.globalTable(argument, Consumed.with(TEXT, TEXT), store()));
            case "dup" -> stack.push(stack.peek());
            case "swap" -> {
                Object top = stack.pop();
                Object below = stack.pop();
                stack.push(top);
                stack.push(below);
            }
            case "map" -> stack.push(stream().mapValues(value -> value == null ? null : value + argument));
            case "filter" -> stack.push(stream().filter((key, value) -> value == null || !value.contains(argument)));
            case "flat_map" -> stack.push(stream().flatMapValues(value ->
                value == null ? List.<String>of() : List.of(value + "a", value + "b")));
            case "map_key" -> stack.push(stream().selectKey((key, value) -> newKey(value)));
            case "merge" -> {
                KStream<String, String> second = stream();
                stack.push(stream().merge(second));
            }
            case "repartition" -> stack.push(stream().repartition(Repartitioned.with(TEXT, TEXT)));
            case "to_stream" -> stack.push(table().toStream());
            case "to_table" -> stack.push(stream().toTable(store()));
            case "table_map" -> stack.push(table().mapValues(value -> value == null ? null : value + argument));
            case "table_filter" -> stack.push(table().filter((key, value) -> !value.contains(argument)));
            case "regroup" -> stack.push(table()
                .groupBy((key, value) -> KeyValue.pair(newKey(value), key + value.substring(Math.min(1, value.length()))), Grouped.with(TEXT, TEXT))
                .aggregate(() -> "", (key, value, sum) -> sum + "+" + value, (key, value, sum) -> sum + "-" + value, store()));
            default -> aggregateOrJoin(word);
        }
    }

    static String newKey(String value) {
        return value == null ? null : value.substring(0, Math.min(1, value.length()));
    }

    void aggregateOrJoin(JsonNode word) {
        String kind = word.size() > 1 ? word.get(1).asText() : "";
        switch (word.get(0).asText()) {
            case "count" -> stack.push(stream().groupByKey(Grouped.with(TEXT, TEXT))
                .count().mapValues(count -> count == null ? null : "n" + count));
            case "reduce" -> stack.push(stream().groupByKey(Grouped.with(TEXT, TEXT))
                .reduce((sum, value) -> sum + value, store()));
            case "aggregate" -> stack.push(stream().groupByKey(Grouped.with(TEXT, TEXT))
                .aggregate(() -> "", (key, value, sum) -> sum + value, store()));
            case "window" -> stack.push(unwindowed(stream().groupByKey(Grouped.with(TEXT, TEXT))
                .windowedBy(TimeWindows.ofSizeAndGrace(millis(word, 1), millis(word, 3)).advanceBy(millis(word, 2)))
                .aggregate(() -> "", (key, value, sum) -> sum + value, Materialized.with(TEXT, TEXT))));
            case "session" -> stack.push(unwindowed(stream().groupByKey(Grouped.with(TEXT, TEXT))
                .windowedBy(SessionWindows.ofInactivityGapAndGrace(millis(word, 1), millis(word, 2)))
                .aggregate(() -> "", (key, value, sum) -> sum + value, (key, one, other) -> one + other,
                    Materialized.<String, String, org.apache.kafka.streams.state.SessionStore<Bytes, byte[]>>with(TEXT, TEXT)
                        .withRetention(Duration.ofDays(1)))));
            case "sliding" -> stack.push(unwindowed(stream().groupByKey(Grouped.with(TEXT, TEXT))
                .windowedBy(SlidingWindows.ofTimeDifferenceAndGrace(millis(word, 1), millis(word, 2)))
                .aggregate(() -> "", (key, value, sum) -> sum + value,
                    Materialized.<String, String, WindowStore<Bytes, byte[]>>with(TEXT, TEXT)
                        .withRetention(Duration.ofDays(1)))));
            case "join_streams" -> joinStreams(word, kind);
            case "join_table" -> {
                KTable<String, String> right = table();
                KStream<String, String> left = stream();
                var with = Joined.with(TEXT, TEXT, TEXT);
                stack.push(kind.equals("inner") ? left.join(right, PAIR, with) : left.leftJoin(right, PAIR, with));
            }
            case "join_global" -> joinGlobal(kind);
            case "join_tables" -> {
                KTable<String, String> right = table();
                KTable<String, String> left = table();
                stack.push(switch (kind) {
                    case "inner" -> left.join(right, PAIR);
                    case "left" -> left.leftJoin(right, PAIR);
                    default -> left.outerJoin(right, PAIR);
                });
            }
            case "join_foreign" -> {
                KTable<String, String> right = table();
                KTable<String, String> left = table();
                stack.push(kind.equals("inner")
                    ? left.join(right, StreamPrograms::newKey, PAIR, store())
                    : left.leftJoin(right, StreamPrograms::newKey, PAIR, store()));
            }
            default -> throw new IllegalArgumentException(word.toString());
        }
    }

    void joinStreams(JsonNode word, String kind) {
        KStream<String, String> right = stream();
        KStream<String, String> left = stream();
        JoinWindows windows = JoinWindows.ofTimeDifferenceAndGrace(millis(word, 2), millis(word, 4)).after(millis(word, 3));
        // In memory, the time of a store goes on with records that the join leaves out.
        var with = StreamJoined.with(TEXT, TEXT, TEXT)
            .withDslStoreSuppliers(new BuiltInDslStoreSuppliers.RocksDBDslStoreSuppliers());
        stack.push(switch (kind) {
            case "inner" -> left.join(right, PAIR, windows, with);
            case "left" -> left.leftJoin(right, PAIR, windows, with);
            default -> left.outerJoin(right, PAIR, windows, with);
        });
    }

    @SuppressWarnings("unchecked")
    void joinGlobal(String kind) {
        GlobalKTable<String, String> right = (GlobalKTable<String, String>) stack.pop();
        KStream<String, String> left = stream();
        stack.push(kind.equals("inner")
            ? left.join(right, (key, value) -> newKey(value), PAIR)
            : left.leftJoin(right, (key, value) -> newKey(value), PAIR));
    }

    static KStream<String, String> unwindowed(KTable<Windowed<String>, String> table) {
        return table.toStream((key, value) ->
            key.key() + "@[" + key.window().start() + "," + key.window().end() + "]");
    }

    static Duration millis(JsonNode word, int place) {
        return Duration.ofMillis(word.get(place).asLong());
    }
}
