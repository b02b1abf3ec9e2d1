import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.CompressionType;
import org.apache.kafka.common.record.ControlRecordType;
import org.apache.kafka.common.record.DefaultRecordBatch;
import org.apache.kafka.common.record.EndTransactionMarker;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.MemoryRecordsBuilder;
import org.apache.kafka.common.record.MutableRecordBatch;
import org.apache.kafka.common.record.Record;
import org.apache.kafka.common.record.RecordBatch;
import org.apache.kafka.common.record.SimpleRecord;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.utils.BufferSupplier;
import org.apache.kafka.common.utils.ByteBufferOutputStream;
import org.apache.kafka.common.utils.Utils;

/** Writes the golden files that start with "java": Golden RECORDS.JSON FOLDER. */
public class Golden {
    static final long PRODUCER_ID = 4_294_967_299L;
    static final short PRODUCER_EPOCH = 5;
    static final int LEADER_EPOCH = 9;
    static final long APPEND_TIME = 1_700_000_099_000L;

    public static void main(String[] arguments) throws Exception {
        JsonNode all = new ObjectMapper().readTree(new File(arguments[0]));
        Path folder = Path.of(arguments[1]);
        List<SimpleRecord> small = records(all.get("small"));
        List<SimpleRecord> large = records(all.get("large"));

        for (CompressionType type : CompressionType.values()) {
            MemoryRecordsBuilder first = builder(type, TimestampType.CREATE_TIME, 0L, false);
            small.forEach(first::append);
            if (type == CompressionType.NONE) {
                write(folder, "java-none", first.build().buffer());
                continue;
            }
            MemoryRecordsBuilder second =
                builder(type, TimestampType.CREATE_TIME, small.size(), false);
            large.forEach(second::append);
            write(folder, "java-" + type.name, first.build().buffer(), second.build().buffer());
        }

        MemoryRecordsBuilder transactional =
            builder(CompressionType.NONE, TimestampType.CREATE_TIME, 5_000_000_000L, true);
        small.forEach(transactional::append);
        write(folder, "java-transactional", transactional.build().buffer());

        MemoryRecordsBuilder appendTime =
            builder(CompressionType.NONE, TimestampType.LOG_APPEND_TIME, 7L, false);
        small.forEach(appendTime::append);
        write(folder, "java-append-time", appendTime.build().buffer());

        write(folder, "java-commit", marker(ControlRecordType.COMMIT));
        write(folder, "java-abort", marker(ControlRecordType.ABORT));
        write(folder, "java-compacted", compacted(small, false));
        write(folder, "java-delete-horizon", compacted(small, true));
        write(folder, "java-empty", empty());
        murmur2(folder);
    }

    static MemoryRecordsBuilder builder(
            CompressionType type, TimestampType timestampType, long baseOffset, boolean transactional) {
        return new MemoryRecordsBuilder(
            new ByteBufferOutputStream(1 << 10),
            RecordBatch.CURRENT_MAGIC_VALUE,
            Compression.of(type).build(),
            timestampType,
            baseOffset,
            timestampType == TimestampType.LOG_APPEND_TIME ? APPEND_TIME : RecordBatch.NO_TIMESTAMP,
            transactional ? PRODUCER_ID : RecordBatch.NO_PRODUCER_ID,
            transactional ? PRODUCER_EPOCH : RecordBatch.NO_PRODUCER_EPOCH,
            transactional ? Integer.MAX_VALUE - 2 : RecordBatch.NO_SEQUENCE,
            transactional,
            false,
            transactional ? LEADER_EPOCH : RecordBatch.NO_PARTITION_LEADER_EPOCH,
            Integer.MAX_VALUE);
    }

    static ByteBuffer marker(ControlRecordType type) {
        return MemoryRecords.withEndTransactionMarker(
                123L, APPEND_TIME, LEADER_EPOCH, PRODUCER_ID, PRODUCER_EPOCH,
                new EndTransactionMarker(type, 17))
            .buffer();
    }

    /** What the log cleaner leaves: the records at odd offsets, and tombstones for a while or not. */
    static ByteBuffer compacted(List<SimpleRecord> records, boolean keepTombstones) {
        MemoryRecordsBuilder whole =
            builder(CompressionType.NONE, TimestampType.CREATE_TIME, 100L, true);
        records.forEach(whole::append);
        MemoryRecords.RecordFilter filter = new MemoryRecords.RecordFilter(APPEND_TIME, 86_400_000L) {
            @Override
            protected BatchRetentionResult checkBatchRetention(RecordBatch batch) {
                return new BatchRetentionResult(BatchRetention.DELETE_EMPTY, false);
            }

            @Override
            protected boolean shouldRetainRecord(RecordBatch batch, Record record) {
                return record.offset() % 2 == 1 && (keepTombstones || record.hasValue());
            }
        };
        return whole.build()
            .filterTo(filter, ByteBuffer.allocate(1 << 20), BufferSupplier.NO_CACHING)
            .outputBuffer()
            .flip();
    }

    /** What the log cleaner leaves where only the producer's state matters. */
    static ByteBuffer empty() {
        ByteBuffer buffer = ByteBuffer.allocate(DefaultRecordBatch.RECORD_BATCH_OVERHEAD);
        DefaultRecordBatch.writeEmptyHeader(
            buffer, RecordBatch.CURRENT_MAGIC_VALUE, PRODUCER_ID, PRODUCER_EPOCH, 11, 200L, 204L,
            LEADER_EPOCH, TimestampType.CREATE_TIME, APPEND_TIME, true, false);
        return buffer.flip();
    }

    static void murmur2(Path folder) throws Exception {
        Random random = new Random(2);
        List<String> lines = new ArrayList<>();
        lines.add("# key in hex, Utils.murmur2 of it, its partition of 12");
        for (int length = 0; length < 40; length++) {
            byte[] key = new byte[length];
            random.nextBytes(key);
            lines.add(HexFormat.of().formatHex(key) + " " + Utils.murmur2(key) + " "
                + BuiltInPartitioner.partitionForKey(key, 12));
        }
        Files.write(folder.resolve("java-murmur2.txt"), lines);
    }

    static void write(Path folder, String name, ByteBuffer... batches) throws Exception {
        try (var channel = Files.newByteChannel(folder.resolve(name + ".bin"),
                java.nio.file.StandardOpenOption.CREATE,
                java.nio.file.StandardOpenOption.TRUNCATE_EXISTING,
                java.nio.file.StandardOpenOption.WRITE)) {
            for (ByteBuffer batch : batches) {
                channel.write(batch);
            }
        }
    }

    static List<SimpleRecord> records(JsonNode nodes) {
        List<SimpleRecord> records = new ArrayList<>();
        for (JsonNode node : nodes) {
            List<Header> headers = new ArrayList<>();
            for (JsonNode header : node.path("headers")) {
                headers.add(new RecordHeader(header.get(0).asText(), bytes(header.get(1))));
            }
            records.add(new SimpleRecord(
                node.get("timestamp").asLong(), bytes(node.get("key")), bytes(node.get("value")),
                headers.toArray(new Header[0])));
        }
        return records;
    }

    static byte[] bytes(JsonNode node) {
        if (node.isNull()) {
            return null;
        }
        String text = node.isTextual()
            ? node.asText()
            : node.get("text").asText().repeat(node.get("times").asInt());
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
