import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Prints partition 0 of topics, up to their ends: ReadTopic BOOTSTRAP TOPIC...
 *
 * <p>A line a record: topic, offset, timestamp, key, value and (name, value) of the headers, bytes
 * in hex with an x before them, null as "null".
 */
public class ReadTopic {
    public static void main(String[] arguments) {
        Map<String, Object> settings = Map.of(
            "bootstrap.servers", arguments[0], "auto.offset.reset", "earliest",
            "isolation.level", "read_committed", "check.crcs", "true");
        var bytes = new ByteArrayDeserializer();
        try (var consumer = new KafkaConsumer<>(settings, bytes, bytes)) {
            for (String topic : List.of(arguments).subList(1, arguments.length)) {
                TopicPartition partition = new TopicPartition(topic, 0);
                consumer.assign(List.of(partition));
                long end = consumer.endOffsets(List.of(partition)).get(partition);
                while (consumer.position(partition) < end) {
                    for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                        print(record);
                    }
                }
            }
        }
    }

    static void print(ConsumerRecord<byte[], byte[]> record) {
        StringBuilder line = new StringBuilder();
        line.append(record.topic()).append(' ').append(record.offset()).append(' ')
            .append(record.timestamp()).append(' ').append(hex(record.key())).append(' ')
            .append(hex(record.value()));
        for (Header header : record.headers()) {
            line.append(' ').append(hex(header.key().getBytes(java.nio.charset.StandardCharsets.UTF_8)))
                .append(' ').append(hex(header.value()));
        }
        System.out.println(line);
    }

    static String hex(byte[] bytes) {
        return bytes == null ? "null" : "x" + HexFormat.of().formatHex(bytes);
    }
}
