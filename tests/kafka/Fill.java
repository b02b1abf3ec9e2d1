import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * What Java's producer writes: Fill BOOTSTRAP.
 *
 * <p>Every codec to "java"; transactions, committed, aborted and at last one that stays open, to both
 * partitions of "java-transactions".
 */
public class Fill {
    static final long START = 1_700_000_000_000L;

    public static void main(String[] arguments) {
        String bootstrap = arguments[0];
        int number = 0;
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            try (var producer = producer(bootstrap, Map.of("compression.type", codec))) {
                for (int round = 0; round < 3; round++) {
                    codecs(producer, START + 20_000L * number++);
                }
            }
        }
        List<KafkaProducer<byte[], byte[]>> producers = new ArrayList<>();
        for (String name : List.of("a", "b")) {
            producers.add(producer(bootstrap, Map.of(
                "transactional.id", "java-" + name, "transaction.timeout.ms", 900_000)));
            producers.get(producers.size() - 1).initTransactions();
        }
        for (int round = 0; round < 9; round++) {
            producers.forEach(KafkaProducer::beginTransaction);
            for (var producer : producers) {
                transaction(producer, START + 20_000L * round);
            }
            if (round == 8) {
                break;
            }
            for (int each = 0; each < producers.size(); each++) {
                if ((round + each) % 3 == 0) {
                    producers.get(each).abortTransaction();
                } else {
                    producers.get(each).commitTransaction();
                }
            }
        }
        producers.get(1).commitTransaction();
        Runtime.getRuntime().halt(0); // the first one's last transaction stays open
    }

    static KafkaProducer<byte[], byte[]> producer(String bootstrap, Map<String, Object> more) {
        Map<String, Object> settings = new HashMap<>(more);
        settings.put("bootstrap.servers", bootstrap);
        settings.put("linger.ms", 1000);
        var bytes = new ByteArraySerializer();
        return new KafkaProducer<>(settings, bytes, bytes);
    }

    static void codecs(KafkaProducer<byte[], byte[]> producer, long time) {
        send(producer, "java", 0, time, "key", "value");
        send(producer, "java", 0, time + 3, null, "x".repeat(5000),
            new RecordHeader("name", bytes("value")), new RecordHeader("name", (byte[]) null),
            new RecordHeader("\u043a\u043b\u044e\u0447", new byte[0]));
        send(producer, "java", 0, time + 1, "", "");
        send(producer, "java", 0, time + 2, "gone", null);
        producer.flush();
    }

    static void transaction(KafkaProducer<byte[], byte[]> producer, long time) {
        for (int step = 0; step < 6; step++) {
            send(producer, "java-transactions", step % 2, time + step, "key " + step, "value");
        }
        producer.flush();
    }

    static void send(
            KafkaProducer<byte[], byte[]> producer, String topic, int partition, long time,
            String key, String value, Header... headers) {
        producer.send(new ProducerRecord<>(
            topic, partition, time, bytes(key), bytes(value), List.of(headers)));
    }

    static byte[] bytes(String text) {
        return text == null ? null : text.getBytes(StandardCharsets.UTF_8);
    }
}
